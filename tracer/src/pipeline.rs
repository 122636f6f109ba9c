//! The buffer between the recorder and whoever ships the log: bounded, in order, one producer, one consumer.
//!
//! The recorder waits when it is full: a server that outruns its log is slowed, its log is never cut.
//!
//! The lag of a backup is bounded in the same way: as long as it has not executed all but the last [`CAPACITY`] bytes, the
//! recorder waits, so that neither side has to hold more of the log than that.
//!
//! The consumer is woken at once when a record is there that a client waits for (output, the end of a connection or of the
//! server), or when much is there. Other records may wait for it until its patience ends: to wake another thread for every
//! record would cost the server more than the record itself.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::ids::Lsn;
use common::record::{Kind, Record};
use common::syscall::nr;

use crate::recorder::{Sink, SinkError};

/// Bytes that are shipped at once, output among them or not.
const MUCH: usize = 64 << 10;
/// Bytes that may wait. A single record may be larger: it then waits alone.
pub const CAPACITY: usize = 64 << 20;

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    first: Lsn,
    /// The backup has executed the log up to here; `None` while nobody says so.
    replayed: Option<Lsn>,
    /// The consumer is not to wait any longer.
    due: bool,
    closed: bool,
    /// The server's End record is in it.
    ended: bool,
    discarding: bool,
    failed: Option<String>,
    waits: u64,
    /// The recorder waits for room: to ring for nobody would be a system call for nothing.
    waiting: bool,
}

impl State {
    fn is_full(&self) -> bool {
        let lag =
            self.replayed.map_or(0, |replayed| (self.first.0 + self.bytes.len() as u64).saturating_sub(replayed.0));
        self.bytes.len() >= CAPACITY || lag >= CAPACITY as u64
    }
}

/// The buffer.
#[derive(Debug, Default)]
pub struct Pipeline {
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
    /// Nobody waits for anything in it.
    is_file: bool,
}

/// A run of whole records.
#[derive(Debug)]
pub struct Batch {
    /// Where it begins.
    pub first: Lsn,
    /// The records.
    pub bytes: Vec<u8>,
}

impl Pipeline {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pipeline whose first record has this LSN.
    #[must_use]
    pub fn starting_at(first: Lsn) -> Self {
        Self { state: Mutex::new(State { first, ..State::default() }), ..Self::default() }
    }

    /// For a log that only goes into a file.
    #[must_use]
    pub fn into_file() -> Self {
        Self { is_file: true, ..Self::default() }
    }

    /// The LSN behind the last record appended.
    #[must_use]
    pub fn end(&self) -> Lsn {
        let state = self.lock();
        state.first.advance(state.bytes.len())
    }

    /// How often the recorder had to wait.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.lock().waits
    }

    /// Waits until what is in it is due, or `patience` ends. Says whether the log is closed.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> bool {
        let waiting = |state: &mut State| !state.due && !state.closed;
        let (state, _) =
            self.filled.wait_timeout_while(self.lock(), patience, waiting).unwrap_or_else(PoisonError::into_inner);
        state.closed
    }

    /// Takes everything that waits, as soon as it is due or `patience` ends. `None` when there was nothing; an empty batch
    /// when the log is closed and all of it was taken.
    #[must_use]
    pub fn take(&self, patience: Duration) -> Option<Batch> {
        let waiting = |state: &mut State| !state.due && !state.closed;
        let (state, _) =
            self.filled.wait_timeout_while(self.lock(), patience, waiting).unwrap_or_else(PoisonError::into_inner);
        self.take_from(state)
    }

    /// Takes everything that waits now.
    #[must_use]
    pub fn take_now(&self) -> Option<Batch> {
        self.take_from(self.lock())
    }

    fn take_from(&self, mut state: MutexGuard<'_, State>) -> Option<Batch> {
        if state.bytes.is_empty() && !state.closed {
            return None;
        }
        let bytes = std::mem::take(&mut state.bytes);
        let first = state.first;
        state.first = first.advance(bytes.len());
        state.due = false;
        let waiting = state.waiting;
        drop(state);
        if waiting {
            self.drained.notify_all();
        }
        Some(Batch { first, bytes })
    }

    /// The backup has executed the log up to `lsn`. From the first call on its lag is bounded.
    pub fn replayed(&self, lsn: Lsn) {
        let mut state = self.lock();
        state.replayed = state.replayed.max(Some(lsn));
        let waiting = state.waiting;
        drop(state);
        if waiting {
            self.drained.notify_all();
        }
    }

    /// Whether the server has ended: known here before anyone who gets the log can know it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// No more records will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// The log has nobody to go to any more, and need not: the primary is solo.
    pub fn discard(&self) {
        let mut state = self.lock();
        state.discarding = true;
        state.first = state.first.advance(state.bytes.len());
        state.bytes = Vec::new();
        drop(state);
        self.drained.notify_all();
    }

    /// The log cannot be kept: the recorder's next append fails.
    pub fn fail(&self, reason: String) {
        self.lock().failed.get_or_insert(reason);
        self.drained.notify_all();
    }
}

/// The recorder's end of a pipeline.
#[derive(Debug)]
pub struct Producer<'a>(pub &'a Pipeline);

impl Producer<'_> {
    fn put(&self, urgent: bool, len: usize, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), SinkError> {
        let mut state = self.0.lock();
        if state.is_full() && !state.discarding {
            state.waits += 1;
            state.waiting = true;
            let full = |state: &mut State| state.is_full() && state.failed.is_none() && !state.discarding;
            state = self.0.drained.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
            state.waiting = false;
        }
        if let Some(reason) = &state.failed {
            return Err(SinkError(reason.clone()));
        }
        if state.discarding {
            state.first = state.first.advance(len);
            return Ok(());
        }
        encode(&mut state.bytes);
        let wake = !state.due && (urgent && !self.0.is_file || state.bytes.len() >= MUCH);
        state.due |= wake;
        drop(state);
        if wake {
            self.0.filled.notify_one();
        }
        Ok(())
    }
}

impl Sink for Producer<'_> {
    fn append(&mut self, record: &Record) -> Result<(), SinkError> {
        if record.kind == Kind::End {
            self.0.lock().ended = true;
        }
        self.put(is_urgent(record), record.encoded_len(), |bytes| record.encode_into(bytes))
    }

    fn append_encoded(&mut self, records: &[u8]) -> Result<(), SinkError> {
        if records.is_empty() {
            return Ok(());
        }
        self.put(false, records.len(), |bytes| bytes.extend_from_slice(records))
    }

    fn flush(&mut self) {
        let mut state = self.0.lock();
        let wake = !state.due && !state.bytes.is_empty() && !self.0.is_file;
        state.due |= wake;
        drop(state);
        if wake {
            self.0.filled.notify_one();
        }
    }

    fn is_awaited(&self) -> bool {
        !self.0.is_file && !self.0.lock().discarding
    }

    fn is_kept(&self) -> bool {
        !self.0.lock().discarding
    }
}

/// Whether a client may be waiting for what this record stands for.
fn is_urgent(record: &Record) -> bool {
    match record.kind {
        Kind::Call => matches!(
            record.number,
            nr::WRITE
                | nr::WRITEV
                | nr::SENDTO
                | nr::SENDMSG
                | nr::SENDMMSG
                | nr::SENDFILE
                | nr::SHUTDOWN
                | nr::CLOSE
                | nr::CLOSE_RANGE
                | nr::DUP2
                | nr::DUP3
        ),
        // An exec closes descriptors.
        Kind::End | Kind::Epoch | Kind::Position | Kind::Exec => true,
        Kind::Signal | Kind::Instruction | Kind::Patch | Kind::Memory => false,
    }
}

#[cfg(test)]
mod tests {
    use common::record::{Segment, SegmentRole};

    use super::*;

    #[test]
    fn batches_continue_one_another() {
        let pipeline = Pipeline::starting_at(Lsn(8));
        let record = Record::new(Kind::Epoch, 0, 0);
        Producer(&pipeline).append(&record).unwrap();
        let first = pipeline.take(Duration::ZERO).unwrap();
        assert_eq!((first.first, first.bytes.len()), (Lsn(8), record.encoded_len()));
        assert!(pipeline.take(Duration::ZERO).is_none());
        Producer(&pipeline).append(&record).unwrap();
        pipeline.close();
        assert_eq!(pipeline.take(Duration::ZERO).unwrap().first, Lsn(8 + record.encoded_len() as u64));
        assert!(pipeline.take(Duration::ZERO).unwrap().bytes.is_empty());
    }

    #[test]
    fn the_end_is_known_before_it_can_be_taken() {
        let pipeline = Pipeline::default();
        Producer(&pipeline).append(&Record::new(Kind::Epoch, 0, 0)).unwrap();
        assert!(!pipeline.has_ended());
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                let mut taken = 0;
                while taken < 2 * Record::new(Kind::End, 0, 0).encoded_len() {
                    taken += pipeline.take(Duration::MAX).unwrap().bytes.len();
                }
                pipeline.has_ended()
            });
            Producer(&pipeline).append(&Record::new(Kind::End, 0, 0)).unwrap();
            assert!(consumer.join().unwrap());
        });
    }

    #[test]
    fn output_does_not_wait_and_input_may() {
        let pipeline = Pipeline::default();
        Producer(&pipeline).append(&Record::new(Kind::Call, nr::READ, 1)).unwrap();
        assert!(!pipeline.lock().due);
        Producer(&pipeline).append(&Record::new(Kind::Call, nr::WRITE, 1)).unwrap();
        assert!(pipeline.lock().due);
        // With all the patience there is: it returns because output is there.
        assert!(pipeline.take(Duration::MAX).is_some());
        assert!(!pipeline.lock().due);
    }

    #[test]
    fn a_backup_that_lags_stops_the_recorder_until_it_has_caught_up() {
        let pipeline = Pipeline::default();
        pipeline.replayed(Lsn(0));
        let mut large = Record::new(Kind::Call, nr::WRITE, 0);
        large.segments.push(Segment { address: 0, role: SegmentRole::Sent, arg: 1, bytes: vec![1; CAPACITY] });
        Producer(&pipeline).append(&large).unwrap();
        // It is shipped, but not executed.
        let end = Lsn(pipeline.take(Duration::ZERO).unwrap().bytes.len() as u64);
        std::thread::scope(|scope| {
            let next = scope.spawn(|| Producer(&pipeline).append(&Record::new(Kind::Epoch, 0, 0)));
            while pipeline.waits() == 0 {
                assert!(!next.is_finished(), "the recorder went on beyond the bound");
                std::thread::yield_now();
            }
            pipeline.replayed(end);
            next.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_lost_log_stops_the_recorder() {
        let pipeline = Pipeline::default();
        pipeline.fail("the disk is full".into());
        let error = Producer(&pipeline).append(&Record::new(Kind::Epoch, 0, 0)).unwrap_err();
        assert_eq!(error.to_string(), "the disk is full");
    }
}

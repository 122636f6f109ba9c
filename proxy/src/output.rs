//! Output rule and deduplication: the bytes from the server to one client.
//!
//! Offsets count from the start of the connection and go on across failovers:
//!
//! ```text
//! 0 ......... passed ......... released ......... received
//!   with the client | may go out | held: no backup knows them
//! ```
//!
//! Invariants: `passed <= received`; while the output is held for a backup, `passed <= released`. The end of the stream goes
//! to the client by order only, because an end that the proxy sees may be the death of the primary. A server without a
//! backup ("solo") needs no release: bytes and ends pass as they come.
//!
//! **Takeover.** Bytes below `produced` at the end of the log are the same in every replica; what the lost primary produced
//! beyond it is not, and is dropped: the new primary executes that part in its own way. The new primary sends again from an
//! offset of its choice; what the proxy still has is compared and dropped, a gap is an error.

use std::io::IoSlice;

use thiserror::Error;

use crate::byte_queue::{ByteQueue, MAX_SLICES, distance};

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order: shutdown for writing, or close.
    Eof,
    /// By a reset.
    Reset,
}

/// The replicas and the proxy disagree about the output of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OutputError {
    /// Bytes are missing.
    #[error(
        "output has a gap: the proxy has received {received} bytes, the new primary sends from {found} on, of {produced}"
    )]
    Gap {
        /// What the proxy holds and has passed on.
        received: u64,
        /// Where the new primary begins.
        found: u64,
        /// Where the log ends.
        produced: u64,
    },
    /// The client has bytes that no log accounts for.
    #[error("the client was sent {passed} bytes but the log of the new primary produces only {produced}")]
    BeyondLog {
        /// Bytes with the client.
        passed: u64,
        /// Bytes that the log produces.
        produced: u64,
    },
    /// The new primary sends other bytes than the lost one did.
    #[error(
        "output differs from what the lost primary sent: at offset {offset} expected {expected:#04x}, found {found:#04x}"
    )]
    Differs {
        /// Of the first different byte.
        offset: u64,
        /// What the lost primary sent.
        expected: u8,
        /// What the new one sends.
        found: u8,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Output {
    /// Base: passed. End: received.
    held: ByteQueue,
    released: u64,
    /// An order said that nothing follows `released`.
    finished: bool,
    /// An order said that the end is a reset.
    reset: bool,
    /// No release is needed.
    solo: bool,
    /// Offset of the next byte that the server connection brings.
    arriving: u64,
    /// What is below this offset the new primary sends before anything else moves: it is always read.
    supplied: u64,
    /// How the server connection ended.
    upstream_end: Option<End>,
    backlog_limit: usize,
    /// Test only: the output rule is off.
    unheld: bool,
    /// Test only: deduplication is off.
    keep_overlap: bool,
}

impl Output {
    /// An empty stream. `unheld` and `keep_overlap` are the test-only switches.
    #[must_use]
    pub fn new(solo: bool, backlog_limit: usize, unheld: bool, keep_overlap: bool) -> Self {
        Self {
            held: ByteQueue::default(),
            released: 0,
            finished: false,
            reset: false,
            solo,
            arriving: 0,
            supplied: 0,
            upstream_end: None,
            backlog_limit,
            unheld,
            keep_overlap,
        }
    }

    /// Bytes received from the server.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.held.end()
    }

    /// Bytes given to the client.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.held.base()
    }

    /// The offset below which bytes may go to the client.
    fn limit(&self) -> u64 {
        if self.solo || self.unheld { self.received() } else { self.released.min(self.received()) }
    }

    /// Whether the server connection is to be read. Only output that may go out counts against the limit; see
    /// [`crate::Config::backlog_limit`]. What a new primary supplies is taken at once, however slow the client is: it
    /// fitted into the buffers of the lost one, and until it is taken nobody is served.
    #[must_use]
    pub fn wants(&self) -> bool {
        let backlog = self.limit().saturating_sub(self.passed());
        self.upstream_end.is_none() && (backlog < self.backlog_limit as u64 || self.arriving < self.supplied)
    }

    /// Bytes that the server connection will bring again: they go to [`Output::compare`], not to [`Output::space`].
    #[must_use]
    pub fn overlap(&self) -> u64 {
        if self.keep_overlap { 0 } else { self.received().saturating_sub(self.arriving) }
    }

    /// Where to append bytes from the server; then call [`Output::arrived`].
    pub fn space(&mut self) -> &mut Vec<u8> {
        self.held.spare()
    }

    /// Takes in what was appended, says how much.
    pub fn arrived(&mut self) -> usize {
        let grown = self.held.commit();
        self.arriving += grown as u64;
        grown
    }

    /// Drops bytes that were received before; those still held are compared.
    ///
    /// # Errors
    /// When they are not the same.
    pub fn compare(&mut self, again: &[u8]) -> Result<(), OutputError> {
        let mut at = self.arriving;
        self.arriving += again.len() as u64;
        let mut rest = &again[distance(at, self.held.base().clamp(at, self.arriving))..];
        at = at.max(self.held.base());
        while !rest.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = self.held.slices(at, at + rest.len() as u64, &mut slices);
            if used == 0 {
                break;
            }
            for slice in &slices[..used] {
                let (now, later) = rest.split_at(slice.len());
                if let Some(i) = (0..now.len()).find(|&i| now[i] != slice[i]) {
                    return Err(OutputError::Differs { offset: at + i as u64, expected: slice[i], found: now[i] });
                }
                at += now.len() as u64;
                rest = later;
            }
        }
        Ok(())
    }

    /// The server connection ended.
    pub fn upstream_ended(&mut self, end: End) {
        self.upstream_end.get_or_insert(end);
    }

    /// How the server connection ended, if it did.
    #[must_use]
    pub fn upstream_end(&self) -> Option<End> {
        self.upstream_end
    }

    /// The bytes that may go to the client now.
    pub fn slices<'a>(&'a self, out: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        self.held.slices(self.passed(), self.limit(), out)
    }

    /// Whether there are bytes that may go to the client now.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.passed() < self.limit()
    }

    /// The client's socket took `n` bytes.
    pub fn pass(&mut self, n: usize) {
        self.held.trim(self.passed() + n as u64);
    }

    /// The end that is due at the client: everything before it is passed.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        if self.finished && (self.passed() >= self.released || self.cut_off() && self.all_passed()) {
            return Some(if self.reset { End::Reset } else { End::Eof });
        }
        if (self.solo || self.unheld) && self.all_passed() { self.upstream_end } else { None }
    }

    /// Whether the client has all that was received.
    #[must_use]
    pub fn all_passed(&self) -> bool {
        self.passed() == self.received()
    }

    /// Whether the end of the server connection is what the orders say: nothing more will come, and nothing more is due.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.finished && (self.received() >= self.released || self.cut_off())
    }

    /// Whether a reset by the server has thrown away what it had not sent yet.
    fn cut_off(&self) -> bool {
        self.reset && self.upstream_end.is_some()
    }

    /// An order: bytes below `produced` may go out; `finished` says that no others follow.
    pub fn release(&mut self, produced: u64, finished: bool) {
        self.released = self.released.max(produced);
        self.finished |= finished;
    }

    /// An order: the end is a reset.
    pub fn reset_at_end(&mut self) {
        self.reset = true;
    }

    /// From now on the server has no backup.
    pub fn go_solo(&mut self) {
        self.solo = true;
    }

    /// From now on a backup holds the log; what was received before is out of its hands.
    pub fn pair(&mut self) {
        if self.solo {
            self.released = self.released.max(self.received());
            self.solo = false;
        }
    }

    /// A new primary carries on from the end of the log, `produced`, and sends from `output_from` on.
    ///
    /// # Errors
    /// When bytes would be missing, or the client has bytes that the log does not produce.
    pub fn carry(&mut self, produced: u64, finished: bool, output_from: u64) -> Result<(), OutputError> {
        if self.passed() > produced && !self.unheld {
            return Err(OutputError::BeyondLog { passed: self.passed(), produced });
        }
        self.held.truncate(produced);
        if output_from > self.received() {
            return Err(OutputError::Gap { received: self.received(), found: output_from, produced });
        }
        self.release(produced, finished);
        self.arriving = output_from;
        self.supplied = produced.max(self.received());
        self.upstream_end = None;
        self.go_solo();
        Ok(())
    }

    /// The server never accepted the connection: whatever a lost primary sent is void.
    pub fn restart(&mut self) {
        self.held.truncate(self.passed());
        self.arriving = self.received();
        self.upstream_end = None;
    }

    /// The server closed the connection, and what was received is all that it sent.
    ///
    /// # Errors
    /// When the log says that it sent more.
    pub fn finish(&mut self) -> Result<(), OutputError> {
        if self.received() < self.released {
            return Err(OutputError::Gap { received: self.received(), found: self.released, produced: self.released });
        }
        self.release(self.received(), true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::byte_queue::joined;

    fn arrive(output: &mut Output, bytes: &[u8]) {
        output.space().extend_from_slice(bytes);
        output.arrived();
    }

    fn pass_all(output: &mut Output) -> Vec<u8> {
        let mut passed = Vec::new();
        while output.ready() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = output.slices(&mut slices);
            let piece = joined(&slices[..used]);
            output.pass(piece.len());
            passed.extend(piece);
        }
        passed
    }

    fn paired() -> Output {
        Output::new(false, 1 << 20, false, false)
    }

    #[test]
    fn bytes_wait_for_their_release() {
        let mut output = paired();
        arrive(&mut output, b"hello");
        assert_eq!(pass_all(&mut output), b"");
        output.release(3, false);
        assert_eq!(pass_all(&mut output), b"hel");
        // A release may be ahead of the bytes, and an old one takes nothing back.
        output.release(9, false);
        output.release(3, false);
        assert_eq!(pass_all(&mut output), b"lo");
        arrive(&mut output, b" you!");
        assert_eq!(pass_all(&mut output), b" you");
    }

    #[test]
    fn the_end_passes_by_order_only_and_behind_the_bytes() {
        let mut output = paired();
        arrive(&mut output, b"bye");
        output.upstream_ended(End::Reset);
        assert_eq!(output.end(), None);
        output.release(3, true);
        assert_eq!(output.end(), None);
        pass_all(&mut output);
        assert_eq!(output.end(), Some(End::Eof));
    }

    #[test]
    fn solo_passes_bytes_and_ends_as_they_come() {
        let mut output = paired();
        arrive(&mut output, b"held");
        output.go_solo();
        output.upstream_ended(End::Reset);
        assert_eq!(output.end(), None);
        assert_eq!(pass_all(&mut output), b"held");
        assert_eq!(output.end(), Some(End::Reset));
    }

    #[test]
    fn a_takeover_drops_what_the_log_does_not_produce_and_what_comes_twice() {
        let mut output = paired();
        arrive(&mut output, b"logged, then lost");
        output.release(3, false);
        assert_eq!(pass_all(&mut output), b"log");
        output.carry(7, false, 2).unwrap();
        assert_eq!(pass_all(&mut output), b"ged,");
        assert_eq!(output.overlap(), 5);
        output.compare(b"gged,").unwrap();
        arrive(&mut output, b" anew");
        assert_eq!(pass_all(&mut output), b" anew");
    }

    #[test]
    fn a_reset_that_was_ordered_stands_behind_the_bytes_that_came() {
        let mut output = paired();
        arrive(&mut output, b"bye");
        output.release(3, true);
        output.reset_at_end();
        assert_eq!(output.end(), None);
        assert_eq!(pass_all(&mut output), b"bye");
        assert_eq!(output.end(), Some(End::Reset));
        // What the reset threw away will not come.
        let mut output = paired();
        arrive(&mut output, b"by");
        output.release(3, true);
        output.reset_at_end();
        assert_eq!(pass_all(&mut output), b"by");
        assert_eq!(output.end(), None);
        output.upstream_ended(End::Reset);
        assert_eq!(output.end(), Some(End::Reset));
        assert!(output.complete());
    }

    #[test]
    fn bytes_that_differ_from_those_still_held_are_reported() {
        let mut output = paired();
        arrive(&mut output, b"abcdef");
        output.carry(6, false, 0).unwrap();
        assert_eq!(output.compare(b"abcxef"), Err(OutputError::Differs { offset: 3, expected: b'd', found: b'x' }));
    }

    #[test]
    fn a_gap_is_an_error() {
        let mut output = paired();
        arrive(&mut output, b"abc");
        assert_eq!(output.carry(9, false, 4), Err(OutputError::Gap { received: 3, found: 4, produced: 9 }));
    }

    #[test]
    fn a_client_ahead_of_the_log_is_an_error() {
        let mut output = paired();
        arrive(&mut output, b"abc");
        output.release(3, false);
        pass_all(&mut output);
        assert_eq!(output.carry(2, false, 0), Err(OutputError::BeyondLog { passed: 3, produced: 2 }));
    }

    #[test]
    fn what_a_new_primary_supplies_is_taken_although_the_client_is_slow() {
        let mut output = Output::new(false, 4, false, false);
        arrive(&mut output, b"0123456");
        output.release(20, false);
        assert!(!output.wants(), "seven bytes are due, four may wait");
        output.carry(12, false, 5).unwrap();
        assert!(output.wants());
        output.compare(b"56").unwrap();
        arrive(&mut output, b"789");
        assert!(output.wants(), "the log produces two more");
        arrive(&mut output, b"ab");
        assert!(!output.wants(), "from here on the new primary waits for the client");
    }

    #[test]
    fn only_output_that_may_go_out_stops_the_reading() {
        let mut output = Output::new(false, 4, false, false);
        arrive(&mut output, b"0123456789");
        assert!(output.wants());
        output.release(4, false);
        assert!(!output.wants());
        output.pass(1);
        assert!(output.wants());
    }
}

//! Takes the records that the interceptor writes out of the ring, while the server runs.
//!
//! The journal has one holder at a time: the tracer while the server stands still for it, the tap while it runs. So all records
//! are applied and shipped in the order of the ring, and those of the tracer behind those that were there before it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::RecordingError;
use super::journal::Journal;
use crate::interceptor::shared::Shared;

/// How long records may wait that no client waits for.
const PATIENCE: Duration = Duration::from_millis(10);

#[derive(Default)]
struct State<'a> {
    journal: Option<Box<Journal<'a>>>,
    failed: Option<RecordingError>,
    buffer: Vec<u8>,
}

/// The journal while the server runs.
pub(super) struct Tap<'a> {
    shared: &'a Shared,
    /// Ships what was taken, if this thread is to.
    shipper: Option<&'a (dyn Fn() + Sync)>,
    state: Mutex<State<'a>>,
    closed: AtomicBool,
}

impl<'a> Tap<'a> {
    pub(super) fn new(shared: &'a Shared, shipper: Option<&'a (dyn Fn() + Sync)>) -> Self {
        Self { shared, shipper, state: Mutex::default(), closed: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server is about to run.
    pub(super) fn give(&self, journal: Box<Journal<'a>>) {
        self.lock().journal = Some(journal);
    }

    /// The server stands still: what it has written is taken in, then the journal is the tracer's.
    pub(super) fn take(&self) -> Result<Box<Journal<'a>>, RecordingError> {
        let mut state = self.lock();
        if state.drain(self.shared) {
            state.journal.iter_mut().for_each(|journal| journal.flush());
        }
        let journal = state.journal.take();
        match (state.failed.take(), journal) {
            (None, Some(journal)) => Ok(journal),
            (failed, _) => Err(failed.unwrap_or(RecordingError::Lost)),
        }
    }

    /// Drains the ring until it is closed. For a thread of its own.
    pub(super) fn run(&self) {
        while !self.closed.load(Ordering::SeqCst) {
            self.shared.sleep_until_filled(PATIENCE, || self.closed.load(Ordering::SeqCst));
            let drained = self.lock().drain(self.shared);
            // Not while the tracer may want the journal: a slow channel does not stop it.
            if drained && let Some(ship) = self.shipper {
                ship();
            }
        }
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.shared.ring_bell();
    }
}

impl State<'_> {
    /// Takes in what is in the ring. Says whether there was something.
    fn drain(&mut self, shared: &Shared) -> bool {
        let Some(journal) = &mut self.journal else { return false };
        if self.failed.is_some() {
            return false;
        }
        shared.set_awaited(journal.is_awaited());
        self.buffer.clear();
        shared.take(&mut self.buffer);
        if let Err(error) = journal.append_encoded(&self.buffer) {
            self.failed = Some(error);
            // The tracer gets to know of it at the next call.
            shared.set_pending(true);
        } else if journal.check_is_due() {
            shared.set_pending(true);
        }
        !self.buffer.is_empty()
    }
}

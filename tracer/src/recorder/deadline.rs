//! How long a signal waits for the server's next call: a thread that stops the server when that takes too long.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::sys::pidfd::ChildProcess;

#[derive(Debug, Default)]
struct State {
    due: Option<Instant>,
    /// The server was stopped since the last look.
    sent: bool,
    closed: bool,
}

/// The time at which a running server is stopped.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    state: Mutex<State>,
    changed: Condvar,
}

impl Deadline {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server is about to run, and is stopped then.
    pub(super) fn set(&self, due: Instant) {
        self.lock().due = Some(due);
        self.changed.notify_one();
    }

    /// The server stands, and is not to be stopped any more. Says whether it has been: the stop may still be on its way.
    pub(super) fn lift(&self) -> bool {
        let mut state = self.lock();
        state.due = None;
        std::mem::take(&mut state.sent)
    }

    /// Stops the server when its time comes. For a thread of its own.
    pub(super) fn run(&self, server: &ChildProcess) {
        let mut state = self.lock();
        while !state.closed {
            state = match state.due {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        // Under the lock: whoever lifts the deadline learns of it.
                        server.send(libc::SIGSTOP);
                        (state.due, state.sent) = (None, true);
                        continue;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }
}

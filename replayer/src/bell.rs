//! Wakes threads that have nothing to do.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Counts how often it was rung. Who waits says up to where it has looked, so that no ring is missed.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<u64>,
    sleepers: Condvar,
}

impl Bell {
    /// Wakes all who wait.
    pub fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.sleepers.notify_all();
    }

    /// How often it was rung.
    #[must_use]
    pub fn rung(&self) -> u64 {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it was rung more often than `seen`, at most `patience`; says how often.
    pub fn wait(&self, seen: u64, patience: Option<Duration>) -> u64 {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |rung: &mut u64| *rung == seen;
        match patience {
            None => *self.sleepers.wait_while(rung, quiet).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                *self.sleepers.wait_timeout_while(rung, patience, quiet).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

//! What a status command may ask about a running proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::ids::Epoch;

use crate::orders::Mode;

/// A handle on the figures of one proxy; clones see the same figures, from any thread.
#[derive(Debug, Clone, Default)]
pub struct Stats(Arc<Mutex<Status>>);

/// The figures at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The highest epoch seen.
    pub epoch: Epoch,
    /// Whether output is held for a backup.
    pub mode: Mode,
    /// Where clients connect: the listeners that are open, in the order of their ids.
    pub listen: Vec<SocketAddr>,
    /// Client connections that are open.
    pub connections: usize,
    /// Control connections of replicas that have said who they are.
    pub replicas: usize,
}

impl Stats {
    /// The figures now.
    #[must_use]
    pub fn read(&self) -> Status {
        self.lock().clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        // Plain figures: one left half-changed by a panic is still readable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one open client connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Stats);

impl Counted {
    pub(crate) fn new(stats: &Stats) -> Self {
        stats.update(|status| status.connections += 1);
        Self(stats.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.update(|status| status.connections -= 1);
    }
}

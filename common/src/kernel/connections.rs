//! What the server has read from and written to each accepted TCP connection.
//!
//! A connection stays here after the server closed it, until [`Connections::forget`]: whoever retains its output needs to
//! know what was produced. Closed ones and the list of what changed are bookkeeping of the replica at hand, not state of the
//! server: two models are equal without them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::call::{Call, ModelError};
use crate::ids::ConnId;
use crate::orders::Progress;

/// A value that does not take part in comparing two models.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Aside<T>(pub(super) T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Counts {
    consumed: u64,
    produced: u64,
    finished: bool,
    reset: bool,
}

/// All connections, by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Connections {
    open: BTreeMap<ConnId, Counts>,
    closed: Aside<BTreeMap<ConnId, Counts>>,
    #[serde(skip)]
    changed: Aside<BTreeSet<ConnId>>,
}

fn progress(conn: ConnId, counts: &Counts, closed: bool) -> Progress {
    let Counts { consumed, produced, finished, reset } = *counts;
    Progress { conn, consumed, produced, finished, closed, reset }
}

impl Connections {
    /// Those that the server holds, then those that it has closed and that are not yet forgotten.
    pub fn iter(&self) -> impl Iterator<Item = Progress> + '_ {
        let open = self.open.iter().map(|(&conn, counts)| progress(conn, counts, false));
        open.chain(self.closed.0.iter().map(|(&conn, counts)| progress(conn, counts, true)))
    }

    /// Where one stands.
    #[must_use]
    pub fn get(&self, conn: ConnId) -> Option<Progress> {
        let open = self.open.get(&conn).map(|counts| progress(conn, counts, false));
        open.or_else(|| self.closed.0.get(&conn).map(|counts| progress(conn, counts, true)))
    }

    pub(super) fn is_open(&self, conn: ConnId) -> bool {
        self.open.contains_key(&conn)
    }

    pub(super) fn accepted(&mut self, call: &Call<'_>, conn: ConnId) -> Result<(), ModelError> {
        if self.open.contains_key(&conn) {
            return Err(call.inconsistent("a new connection", format_args!("{conn}, which is open")));
        }
        self.closed.0.remove(&conn);
        self.open.insert(conn, Counts::default());
        self.changed.0.insert(conn);
        Ok(())
    }

    pub(super) fn consumed(&mut self, conn: ConnId, bytes: u64) {
        self.update(conn, bytes > 0, |counts| counts.consumed = counts.consumed.saturating_add(bytes));
    }

    pub(super) fn produced(&mut self, conn: ConnId, bytes: u64) {
        self.update(conn, bytes > 0, |counts| counts.produced = counts.produced.saturating_add(bytes));
    }

    pub(super) fn finished(&mut self, conn: ConnId) {
        self.update(conn, true, |counts| counts.finished = true);
    }

    pub(super) fn closed(&mut self, conn: ConnId, reset: bool) {
        if let Some(counts) = self.open.remove(&conn) {
            self.closed.0.insert(conn, Counts { finished: true, reset, ..counts });
            self.changed.0.insert(conn);
        }
    }

    fn update(&mut self, conn: ConnId, moved: bool, change: impl FnOnce(&mut Counts)) {
        if let Some(counts) = self.open.get_mut(&conn)
            && moved
        {
            change(counts);
            self.changed.0.insert(conn);
        }
    }

    pub(super) fn take_progress(&mut self) -> Vec<Progress> {
        // It is asked after each record, and most change nothing.
        if self.changed.0.is_empty() {
            return Vec::new();
        }
        let changed = std::mem::take(&mut self.changed.0);
        changed.into_iter().filter_map(|conn| self.get(conn)).collect()
    }

    pub(super) fn forget(&mut self, conn: ConnId) -> bool {
        self.closed.0.remove(&conn).is_some()
    }
}

//! Tells the backup how much output the proxy has received, so that it need not keep it.
//!
//! Offsets are gathered for a short time; a connection that moved far, or that ended, is told without waiting for more.
//! The offsets may be ahead of the log that the backup holds.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use common::ids::ConnId;
use common::orders::ToReplica;
use tokio::sync::Notify;

use crate::shared::{Entry, Shared};

/// What is to be told.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    moved: RefCell<BTreeSet<u64>>,
    ended: RefCell<Vec<(ConnId, u64)>>,
    some: Notify,
    urgent: Notify,
}

impl Reports {
    /// The received offset of a connection moved.
    pub(crate) fn moved(&self, entry: &Entry, received: u64, urgent_bytes: u64) {
        if self.moved.borrow_mut().insert(entry.serial) {
            self.some.notify_one();
        }
        if received.saturating_sub(entry.reported.get()) >= urgent_bytes {
            self.urgent.notify_one();
        }
    }

    /// A backup that has just come knows nothing yet.
    pub(crate) fn all_moved(&self, shared: &Shared) {
        shared.for_all(|entry, _| {
            entry.reported.set(0);
            self.moved.borrow_mut().insert(entry.serial);
        });
        self.some.notify_one();
    }

    /// A connection ended.
    pub(crate) fn ended(&self, entry: &Entry, id: ConnId) {
        let received = entry.state.borrow().output.received();
        if self.moved.borrow_mut().remove(&entry.serial) {
            self.ended.borrow_mut().push((id, received));
            self.some.notify_one();
            self.urgent.notify_one();
        }
    }

    fn take(&self, shared: &Shared) -> Vec<(ConnId, u64)> {
        let mut offsets = self.ended.take();
        for serial in self.moved.take() {
            if let Some(entry) = shared.entry(serial) {
                let state = entry.state.borrow();
                if let Some(id) = state.id() {
                    entry.reported.set(state.output.received());
                    offsets.push((id, state.output.received()));
                }
            }
        }
        offsets
    }
}

/// Reports for as long as the proxy runs.
pub(crate) async fn report(shared: Rc<Shared>) {
    let reports = &shared.reports;
    loop {
        reports.some.notified().await;
        let _ = tokio::time::timeout(shared.config.report_interval, reports.urgent.notified()).await;
        let offsets = reports.take(&shared);
        let backup = shared.authority.borrow().backup();
        let sender = backup.and_then(|control| shared.controls.borrow().get(&control).cloned());
        if let Some(sender) = sender
            && !offsets.is_empty()
        {
            // Waits for a backup that is slow to read. One that is lost is noticed at its control connection.
            let _ = sender.send(ToReplica::Received { offsets }).await;
        }
    }
}

//! What all tasks of one proxy share: who may give orders, the connections by name, the orders that concern them all.
//!
//! Everything runs on one thread. An order is applied to the state of every connection it concerns before any task touches
//! another byte; the tasks are then woken to act on it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use common::ids::{ConnId, Epoch};
use common::orders::{Carried, ListenerId, Progress, ToReplica};
use tokio::sync::{Notify, mpsc};

use crate::config::Config;
use crate::connection::{Connection, Kept};
use crate::listening::Listening;
use crate::log::say;
use crate::orders::{Authority, ControlId, Mode};
use crate::report::Reports;
use crate::upstream::Ports;

/// One client connection, as the tasks share it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Names it within this process.
    pub(crate) serial: u64,
    /// Where the client connected.
    pub(crate) listener: ListenerId,
    /// Its rules.
    pub(crate) state: RefCell<Connection>,
    /// Wakes its task.
    pub(crate) changed: Notify,
    /// Received offset that the backup was told.
    pub(crate) reported: Cell<u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) authority: RefCell<Authority>,
    pub(crate) listening: RefCell<Listening>,
    pub(crate) ports: RefCell<Ports>,
    pub(crate) reports: Reports,
    /// Where to send to each control connection.
    pub(crate) controls: RefCell<BTreeMap<ControlId, mpsc::Sender<ToReplica>>>,
    /// The server's own end, by its wait status.
    pub(crate) exit: Cell<Option<i32>>,
    /// Wakes the main task: an exit, a replica that came or left, the last connection that ended.
    pub(crate) news: Notify,
    entries: RefCell<BTreeMap<u64, Rc<Entry>>>,
    names: RefCell<BTreeMap<ConnId, Rc<Entry>>>,
    next_serial: Cell<u64>,
}

/// An address as both ends write it in a [`ConnId`]: an IPv4-mapped one as IPv4, no scope, no flow information.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn canonical_id(id: ConnId) -> ConnId {
    ConnId { epoch: id.epoch, peer: canonical(id.peer) }
}

impl Shared {
    pub(crate) fn new(config: Config) -> Rc<Self> {
        Rc::new(Self {
            authority: RefCell::new(Authority::new(config.faults.ignore_epochs)),
            listening: RefCell::new(Listening::new(config.listen_override)),
            ports: RefCell::default(),
            reports: Reports::default(),
            controls: RefCell::default(),
            exit: Cell::new(None),
            news: Notify::new(),
            entries: RefCell::default(),
            names: RefCell::default(),
            next_serial: Cell::new(0),
            config,
        })
    }

    fn solo(&self) -> bool {
        self.authority.borrow().mode() == Mode::Solo
    }

    // ---- the table

    /// Enters a client that was just accepted.
    pub(crate) fn enter(&self, listener: ListenerId) -> Rc<Entry> {
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        let entry = Rc::new(Entry {
            serial,
            listener,
            state: RefCell::new(Connection::new(&self.config, self.solo())),
            changed: Notify::new(),
            reported: Cell::new(0),
        });
        self.entries.borrow_mut().insert(serial, Rc::clone(&entry));
        entry
    }

    /// Forgets a connection with which nothing is left to do.
    pub(crate) fn forget(&self, entry: &Entry) {
        if let Some(id) = entry.state.borrow().id() {
            self.reports.ended(entry, id);
        }
        self.unname(entry);
        self.entries.borrow_mut().remove(&entry.serial);
        if self.entries.borrow().is_empty() {
            self.news.notify_one();
        }
    }

    /// Connections that are not done.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// One connection.
    pub(crate) fn entry(&self, serial: u64) -> Option<Rc<Entry>> {
        self.entries.borrow().get(&serial).cloned()
    }

    fn all(&self) -> Vec<Rc<Entry>> {
        self.entries.borrow().values().cloned().collect()
    }

    /// Takes a name for the connection unless another has it.
    pub(crate) fn name(&self, entry: &Rc<Entry>, id: ConnId) -> bool {
        let id = canonical_id(id);
        let mut names = self.names.borrow_mut();
        if names.contains_key(&id) {
            return false;
        }
        names.insert(id, Rc::clone(entry));
        entry.state.borrow_mut().name(Some(id));
        true
    }

    /// Gives the connection's name back.
    pub(crate) fn unname(&self, entry: &Entry) {
        let mut state = entry.state.borrow_mut();
        if let Some(id) = state.id() {
            self.names.borrow_mut().remove(&id);
            state.name(None);
        }
    }

    /// Changes every connection and wakes its task.
    pub(crate) fn for_all(&self, change: impl Fn(&Entry, &mut Connection)) {
        for entry in self.all() {
            change(&entry, &mut entry.state.borrow_mut());
            entry.changed.notify_one();
        }
    }

    // ---- orders

    /// The backup holds the log up to these offsets. A name that is not in the table belongs to a connection that is gone:
    /// names are taken before the server can see the connection.
    pub(crate) fn release(&self, progress: &[Progress]) {
        let names = self.names.borrow();
        for progress in progress {
            if let Some(entry) = names.get(&canonical_id(progress.conn)) {
                entry.state.borrow_mut().release(progress);
                entry.changed.notify_one();
            }
        }
    }

    /// Follows a change of mode.
    pub(crate) fn follow(&self, before: Mode) {
        let now = self.authority.borrow().mode();
        match (before, now) {
            (Mode::Alone | Mode::Paired, Mode::Solo) => self.for_all(|_, state| state.go_solo()),
            (Mode::Solo, Mode::Paired) => self.for_all(|_, state| state.pair()),
            // Whoever waits for the primary looks again.
            _ => self.for_all(|_, _| {}),
        }
    }

    /// A new primary carries the connections on; says which of them nobody will resume.
    pub(crate) fn take_over(&self, epoch: Epoch, resume: SocketAddr, carried: &[Carried]) -> Vec<ConnId> {
        let by_id: BTreeMap<ConnId, &Carried> =
            carried.iter().map(|carried| (canonical_id(carried.progress.conn), carried)).collect();
        for entry in self.all() {
            let id = entry.state.borrow().id();
            match id.and_then(|id| by_id.get(&id)) {
                Some(carried) => entry.state.borrow_mut().carry(epoch, carried, resume),
                None => {
                    if entry.state.borrow_mut().carry_not() == Kept::Anew
                        && let Some(id) = id
                    {
                        self.names.borrow_mut().remove(&id);
                    }
                }
            }
            entry.changed.notify_one();
        }
        let gone = self.gone(carried);
        let resumed = carried.len() - gone.len();
        say!("epoch {epoch}: takeover, {resumed} of {} connections are resumed", self.len());
        gone
    }

    /// Which of the carried connections nobody will resume.
    pub(crate) fn gone(&self, carried: &[Carried]) -> Vec<ConnId> {
        let names = self.names.borrow();
        let resumed = |id: &ConnId| names.get(&canonical_id(*id)).is_some_and(|entry| entry.state.borrow().resumed());
        carried.iter().map(|carried| carried.progress.conn).filter(|id| !resumed(id)).collect()
    }

    /// Writes the figures for a status command.
    pub(crate) fn refresh_stats(&self) {
        let authority = self.authority.borrow();
        self.config.stats.update(|status| {
            status.epoch = authority.epoch();
            status.mode = authority.mode();
            status.replicas = authority.greeted();
            status.listen = self.listening.borrow().open();
        });
    }
}

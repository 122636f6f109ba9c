//! The kernel-state model: what the kernel holds for the server, as far as it must be made anew elsewhere.
//!
//! A pure value. It begins with [`Kernel::new`] and is changed by [`Kernel::apply`] alone, by the same code in the recording
//! and in the replaying replica, from records alone: equal logs give equal models. Going live makes real kernel objects
//! from it, a snapshot carries it.
//!
//! An error of `apply` leaves the model half changed: the replica must stop using it.
//!
//! Memory is not part of it: replay executes memory calls, as it does those on signal dispositions, the mask and the
//! alternate stack (which the model follows all the same, because signals delivered depend on them).

pub mod address;
mod call;
mod children;
mod connections;
mod descriptor;
mod dispatch;
mod epoll;
mod event;
mod file;
mod identity;
mod invariants;
mod memory_lock;
mod names;
mod network;
mod path;
mod pipe;
mod posix_timer;
mod signal;
mod socket;
mod table;
#[cfg(test)]
mod tests;
mod timer;
mod transfer;
mod unprotected;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use call::{CallName, ModelError};
pub use children::{Child, Children, WaitFor, killed_info};
pub use connections::Connections;
pub use descriptor::{Description, DescriptionId, Descriptor, Descriptors, Inherited, Object};
pub use epoll::{Epoll, Item, ItemKey};
pub use event::{EventFd, Inotify, TimerFd, Watch};
pub use file::{File, Locks, Offset, RangeLock};
pub use identity::{Identity, Ids, Limit};
pub use memory_lock::MemoryLocks;
pub use path::PathBytes;
pub use pipe::{Pipe, PipeId, Pipes, Stretch};
pub use posix_timer::{Notice, Origin, PosixTimer, PosixTimers, timer_clock};
pub use signal::{AltStack, Disposition, Pending, Sent, Signals, bit, kernel_info};
pub use socket::{
    BoundTo, Netlink, Options, PairEnd, Queue, Shutdown, SocketOption, Tcp, TcpState, Udp, Unix, UnixState,
};
pub use timer::{IntervalTimers, Setting, timer_signal};

use crate::codec::{self, CodecError};
use crate::ids::{ConnId, Epoch};
use crate::orders::{ListenerId, Progress};
use crate::record::{Instruction, Kind, Record, SegmentRole};
use call::Call;
use connections::Aside;

/// A descriptor that the server starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialFd {
    /// Its number.
    pub number: i32,
    /// What it is: the link target in /proc/PID/fd.
    pub what: PathBytes,
    /// As F_GETFL says.
    pub flags: i32,
    /// FD_CLOEXEC.
    pub cloexec: bool,
    /// A lower number that shares the description (as 2 shares that of 1 after `2>&1`).
    pub same_as: Option<i32>,
}

/// The process when its log begins, right after exec.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Initial {
    /// Its process id; its one thread has the same.
    pub pid: i32,
    /// Its parent.
    pub ppid: i32,
    /// Its process group.
    pub pgrp: i32,
    /// Its session.
    pub sid: i32,
    /// User ids.
    pub uids: Ids,
    /// Group ids.
    pub gids: Ids,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The working directory, absolute.
    pub cwd: PathBytes,
    /// Mode bits that new files do not get.
    pub umask: u32,
    /// Its name (/proc/PID/comm without the newline).
    pub name: Vec<u8>,
    /// Descriptors.
    pub fds: Vec<InitialFd>,
    /// Blocked signals: bit 0 is signal 1.
    pub mask: u64,
    /// Ignored signals.
    pub ignored: u64,
    /// The epoch in which the log begins.
    pub epoch: Epoch,
    /// CLOCK_MONOTONIC in nanoseconds.
    pub monotonic_ns: u64,
}

/// A TCP address that the server has bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelListener {
    /// Its name and the address that the server asked for.
    pub bound: BoundTo,
    /// What listen(2) was given; `None` while it is only bound.
    pub backlog: Option<i32>,
    /// Whether the server set SO_REUSEADDR.
    pub reuse_addr: bool,
    /// The socket.
    pub description: DescriptionId,
}

/// Why bytes are no model.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// They are no encoding of one.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// They are not what the same model is encoded to: something comes twice or out of order.
    #[error("the model is not encoded as ftrun encodes it, first at byte {at} of {length}: it was not made by ftrun")]
    Form {
        /// The first byte that differs.
        at: usize,
        /// Bytes there.
        length: usize,
    },
    /// No records lead to such a model.
    #[error("the model contradicts itself: {rule}: it was not made by ftrun")]
    Broken {
        /// What is wrong.
        rule: String,
    },
}

/// The model. See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    epoch: Epoch,
    descriptors: Descriptors,
    pipes: Pipes,
    connections: Connections,
    signals: Signals,
    timers: IntervalTimers,
    posix_timers: PosixTimers,
    identity: Identity,
    memory_locks: MemoryLocks,
    monotonic_ns: u64,
    clocks: BTreeMap<i32, u64>,
    tsc: u64,
    next_listener: u64,
    /// Whether the server ever took a POSIX lock: without one, closing a file need not look for them.
    posix_locks: bool,
    ended: Option<i64>,
    #[serde(skip)]
    unlistened: Aside<Vec<ListenerId>>,
}

impl Kernel {
    /// The model of a process right after exec.
    #[must_use]
    pub fn new(initial: Initial) -> Self {
        let root = PathBytes::from("/");
        let mut descriptors = Descriptors::default();
        for fd in initial.fds {
            match fd.same_as.and_then(|other| descriptors.entry(other)) {
                Some(other) => descriptors.share(other.description, fd.number, fd.cloexec),
                None => {
                    let object = Object::Inherited(Inherited { number: fd.number, what: fd.what });
                    descriptors.enter(fd.number, object, fd.flags & !libc::O_CLOEXEC, fd.cloexec);
                }
            }
        }
        let identity = Identity {
            pid: initial.pid,
            tid: initial.pid,
            ppid: initial.ppid,
            pgrp: initial.pgrp,
            sid: initial.sid,
            uids: initial.uids,
            gids: initial.gids,
            groups: initial.groups,
            root,
            cwd: initial.cwd,
            umask: initial.umask,
            limits: BTreeMap::new(),
            name: initial.name,
            settings: BTreeMap::new(),
            tid_address: 0,
            robust_list: (0, 0),
            children: Children::new(),
            forked: false,
        };
        Self {
            epoch: initial.epoch,
            descriptors,
            pipes: Pipes::default(),
            connections: Connections::default(),
            signals: Signals::new(initial.mask, initial.ignored),
            timers: IntervalTimers::default(),
            posix_timers: PosixTimers::default(),
            identity,
            memory_locks: MemoryLocks::default(),
            monotonic_ns: initial.monotonic_ns,
            clocks: BTreeMap::new(),
            tsc: 0,
            next_listener: 0,
            posix_locks: false,
            ended: None,
            unlistened: Aside::default(),
        }
    }

    /// Its bytes, as they stand in a snapshot.
    ///
    /// # Errors
    /// When it is larger than a message may be.
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(self)
    }

    /// Reads an encoded model. Each model has one encoding, and what holds of every model is checked: records can be applied to it
    /// as to any other.
    ///
    /// # Errors
    /// When the bytes are no model, or one that no records lead to.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let kernel: Self = codec::decode(bytes)?;
        let again = kernel.encode()?;
        if again != bytes {
            let at = again.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            return Err(DecodeError::Form { at, length: bytes.len() });
        }
        kernel.check().and_then(|()| kernel.check_ids()).map_err(|rule| DecodeError::Broken { rule })?;
        Ok(kernel)
    }

    /// Lets the model follow one record. Records must come in the order of the log, each once.
    ///
    /// # Errors
    /// When the record contradicts the model, lacks what the model learns from, or makes what it cannot carry.
    pub fn apply(&mut self, record: &Record) -> Result<(), ModelError> {
        if self.ended.is_some() {
            let call = if record.kind == Kind::Call { CallName::Call(record.number) } else { CallName::Other };
            return Err(ModelError::AfterEnd { call });
        }
        match record.kind {
            Kind::Call => self.called(&Call::new(record)),
            Kind::Signal => {
                self.delivered(record);
                Ok(())
            }
            Kind::Position => Ok(()),
            Kind::Epoch => {
                let epoch = Epoch(record.arg(0));
                if epoch < self.epoch {
                    return Err(ModelError::Inconsistent {
                        call: CallName::Other,
                        expected: format!("epoch {} or a higher one", self.epoch),
                        found: format!("epoch {epoch}"),
                    });
                }
                self.epoch = epoch;
                Ok(())
            }
            Kind::End => {
                self.close_all();
                self.ended = Some(record.result);
                Ok(())
            }
            Kind::Instruction => {
                if [Instruction::Rdtsc as u16, Instruction::Rdtscp as u16].contains(&record.number) {
                    self.tsc = self.tsc.max(record.arg(4) << 32 | record.arg(1));
                }
                Ok(())
            }
            Kind::Patch | Kind::Memory => Ok(()),
            Kind::Exec => {
                self.exec(record.bytes_of(SegmentRole::Path).unwrap_or_default());
                Ok(())
            }
        }
    }

    /// The epoch in which records are written now.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Descriptors and what they refer to.
    #[must_use]
    pub fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// Pipes and their content.
    #[must_use]
    pub fn pipes(&self) -> &Pipes {
        &self.pipes
    }

    /// Accepted TCP connections.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Dispositions, mask, pending signals.
    #[must_use]
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Interval timers that run.
    #[must_use]
    pub fn timers(&self) -> &IntervalTimers {
        &self.timers
    }

    /// POSIX timers, whether they run or not.
    #[must_use]
    pub fn posix_timers(&self) -> &PosixTimers {
        &self.posix_timers
    }

    /// Who the process is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Memory that the server has locked.
    #[must_use]
    pub fn memory_locks(&self) -> &MemoryLocks {
        &self.memory_locks
    }

    /// The highest CLOCK_MONOTONIC that the server or the log has seen, in nanoseconds: time must not go back behind it.
    #[must_use]
    pub fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns
    }

    /// Clocks that never go back and that the server has read: the highest it has seen of each, in nanoseconds.
    pub fn clocks(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.clocks.iter().map(|(&clock, &seen)| (clock, seen))
    }

    /// The highest time-stamp counter that the server has seen (rdtsc, rdtscp): it must not go back behind it either.
    #[must_use]
    pub fn tsc(&self) -> u64 {
        self.tsc
    }

    /// The wait status (waitpid(2)) once the server has ended.
    #[must_use]
    pub fn ended(&self) -> Option<i64> {
        self.ended
    }

    /// What happens on a signal.
    #[must_use]
    pub fn disposition(&self, signal: i32) -> Disposition {
        self.signals.disposition(signal)
    }

    /// Blocked signals: bit 0 is signal 1.
    #[must_use]
    pub fn mask(&self) -> u64 {
        self.signals.mask()
    }

    /// What a descriptor refers to.
    #[must_use]
    pub fn object(&self, fd: i32) -> Option<&Object> {
        self.descriptors.get(fd).map(|description| &description.object)
    }

    /// Whether what is written to a descriptor must stand in the record ([`crate::record::SegmentRole::Sent`]), because the model keeps
    /// what a pipe, a socket pair or an eventfd holds.
    #[must_use]
    pub fn carries_data(&self, fd: i32) -> bool {
        matches!(self.object(fd), Some(Object::PipeWriter(_) | Object::Pair(_) | Object::EventFd(_)))
    }

    /// The connection that a descriptor is, if it was accepted from a TCP listener.
    #[must_use]
    pub fn conn_of_fd(&self, fd: i32) -> Option<ConnId> {
        match self.object(fd)? {
            Object::Tcp(Tcp { state: TcpState::Accepted(conn), .. }) => Some(*conn),
            _ => None,
        }
    }

    /// The bound or listening TCP socket that a descriptor is.
    #[must_use]
    pub fn listener_of_fd(&self, fd: i32) -> Option<ModelListener> {
        let id = self.descriptors.entry(fd)?.description;
        listener(id, self.descriptors.description(id)?)
    }

    /// All TCP sockets that are bound and not connected, listening or not, in the order in which they were made.
    pub fn listeners(&self) -> impl Iterator<Item = ModelListener> + '_ {
        self.descriptors.descriptions().filter_map(|(id, description)| listener(id, description))
    }

    /// The name that the next bind(2) of a TCP socket gets if it succeeds (or listen(2) of one that is not bound).
    #[must_use]
    pub fn next_listener_id(&self) -> ListenerId {
        ListenerId(self.next_listener)
    }

    /// Listeners that have ended since this was last asked. One that was shut down and closed later comes twice.
    pub fn take_unlistened(&mut self) -> Vec<ListenerId> {
        std::mem::take(&mut self.unlistened.0)
    }

    /// Where the connections stand that have moved since this was last asked.
    pub fn take_progress(&mut self) -> Vec<Progress> {
        self.connections.take_progress()
    }

    /// Drops a closed connection once nobody needs its output any more. False, and nothing happens, when it is not closed.
    pub fn forget(&mut self, conn: ConnId) -> bool {
        self.connections.forget(conn)
    }
}

fn listener(id: DescriptionId, description: &Description) -> Option<ModelListener> {
    let Object::Tcp(socket) = &description.object else {
        return None;
    };
    let backlog = match socket.state {
        TcpState::Listening { backlog, .. } => Some(backlog),
        _ => None,
    };
    let reuse_addr = socket.options.is_set(libc::SOL_SOCKET, libc::SO_REUSEADDR);
    Some(ModelListener { bound: socket.bound()?, backlog, reuse_addr, description: id })
}

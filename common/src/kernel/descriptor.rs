//! Descriptors and open file descriptions: which number means what, who shares it, when it ends.
//!
//! A description lives as long as a number refers to it; its number of references is kept beside it. Description ids are
//! never used again, so that an id that is not found means 'closed'.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::call::{Call, ModelError};
use super::epoll::Epoll;
use super::event::{EventFd, Inotify, TimerFd};
use super::file::{File, Locks};
use super::path::PathBytes;
use super::pipe::PipeId;
use super::socket::{Netlink, PairEnd, Tcp, Udp, Unix};

/// Flags that F_SETFL can change (fcntl(2)).
pub(super) const SETTABLE: i32 = libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME | libc::O_NONBLOCK;

/// Names an open file description. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DescriptionId(pub u64);

/// One number in the table of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// What it refers to.
    pub description: DescriptionId,
    /// FD_CLOEXEC.
    pub cloexec: bool,
}

/// An open file description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// What is open.
    pub object: Object,
    /// Access mode and status flags as F_GETFL shows them, without the flags that count only while opening.
    pub flags: i32,
    /// Whom it tells of readiness, as F_SETOWN says: a process, or a group below 0; 0 for nobody.
    pub owner: i32,
    /// flock and open-file-description locks, and POSIX locks taken through it (best effort).
    pub locks: Locks,
    /// How many numbers refer to it.
    pub(super) references: u32,
}

/// What a description is open on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Object {
    /// Open since before the log began.
    Inherited(Inherited),
    /// A file, by path.
    File(File),
    /// A directory, by path; the offset is the cookie of the last entry read.
    Directory(File),
    /// A device node or a file that the kernel makes up (/dev, /proc, /sys).
    Device {
        /// Its path.
        path: PathBytes,
    },
    /// A TCP socket.
    Tcp(Tcp),
    /// A UDP socket.
    Udp(Udp),
    /// A UNIX socket that is no end of a pair.
    Unix(Unix),
    /// One end of a socketpair(2).
    Pair(PairEnd),
    /// A netlink socket.
    Netlink(Netlink),
    /// The end of a pipe that is read.
    PipeReader(PipeId),
    /// The end of a pipe that is written.
    PipeWriter(PipeId),
    /// An event counter.
    EventFd(EventFd),
    /// A timer.
    TimerFd(TimerFd),
    /// A receiver of signals.
    SignalFd {
        /// Which signals: bit 0 is signal 1.
        mask: u64,
    },
    /// A watcher of files.
    Inotify(Inotify),
    /// A set of descriptors waited for.
    Epoll(Epoll),
    /// Something that cannot be carried to another machine, known by what it was.
    Opaque {
        /// For messages.
        what: String,
    },
}

/// A descriptor that the server was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// Its number at the start.
    pub number: i32,
    /// What /proc/PID/fd said that it is.
    pub what: PathBytes,
}

impl Object {
    /// What it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Inherited(_) => "an inherited descriptor",
            Self::File(_) => "a file",
            Self::Directory(_) => "a directory",
            Self::Device { .. } => "a device",
            Self::Tcp(_) => "a TCP socket",
            Self::Udp(_) => "a UDP socket",
            Self::Unix(_) => "a UNIX socket",
            Self::Pair(_) => "one end of a socket pair",
            Self::Netlink(_) => "a netlink socket",
            Self::PipeReader(_) => "the reading end of a pipe",
            Self::PipeWriter(_) => "the writing end of a pipe",
            Self::EventFd(_) => "an eventfd",
            Self::TimerFd(_) => "a timerfd",
            Self::SignalFd { .. } => "a signalfd",
            Self::Inotify(_) => "an inotify descriptor",
            Self::Epoll(_) => "an epoll set",
            Self::Opaque { .. } => "something opaque",
        }
    }
}

/// The table of descriptors and all open descriptions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Descriptors {
    pub(super) table: BTreeMap<i32, Descriptor>,
    pub(super) descriptions: BTreeMap<DescriptionId, Description>,
    /// Those descriptions that are epoll sets: every end of a description must be looked for there.
    epolls: BTreeSet<DescriptionId>,
    next: u64,
}

impl Descriptors {
    /// All numbers in use, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = (i32, Descriptor)> + '_ {
        self.table.iter().map(|(&fd, &descriptor)| (fd, descriptor))
    }

    /// All open descriptions, in the order in which they were made.
    pub fn descriptions(&self) -> impl Iterator<Item = (DescriptionId, &Description)> {
        self.descriptions.iter().map(|(&id, description)| (id, description))
    }

    /// A description by id; `None` once it is closed.
    #[must_use]
    pub fn description(&self, id: DescriptionId) -> Option<&Description> {
        self.descriptions.get(&id)
    }

    /// What a number refers to.
    #[must_use]
    pub fn entry(&self, fd: i32) -> Option<Descriptor> {
        self.table.get(&fd).copied()
    }

    /// The description that a number refers to.
    #[must_use]
    pub fn get(&self, fd: i32) -> Option<&Description> {
        self.descriptions.get(&self.table.get(&fd)?.description)
    }

    pub(super) fn id(&self, call: &Call<'_>, fd: i32) -> Result<DescriptionId, ModelError> {
        self.entry(fd).map(|d| d.description).ok_or_else(|| unknown(call, fd))
    }

    pub(super) fn get_mut(&mut self, call: &Call<'_>, fd: i32) -> Result<&mut Description, ModelError> {
        let id = self.id(call, fd)?;
        self.descriptions.get_mut(&id).ok_or_else(|| unknown(call, fd))
    }

    pub(super) fn by_id_mut(&mut self, id: DescriptionId) -> Option<&mut Description> {
        self.descriptions.get_mut(&id)
    }

    /// Enters a new description at a free number.
    pub(super) fn open(
        &mut self,
        call: &Call<'_>,
        fd: i32,
        object: Object,
        flags: i32,
        cloexec: bool,
    ) -> Result<DescriptionId, ModelError> {
        if fd < 0 {
            return Err(call.inconsistent("a descriptor", fd));
        }
        if let Some(old) = self.get(fd) {
            let found = format!("descriptor {fd}, which is {}", old.object.kind());
            return Err(call.inconsistent("a free descriptor", found));
        }
        Ok(self.enter(fd, object, flags, cloexec))
    }

    /// As [`Self::open`] where the number is known to be free.
    pub(super) fn enter(&mut self, fd: i32, object: Object, flags: i32, cloexec: bool) -> DescriptionId {
        let id = DescriptionId(self.next);
        self.next += 1;
        if matches!(object, Object::Epoll(_)) {
            self.epolls.insert(id);
        }
        let description = Description { object, flags, owner: 0, locks: Locks::default(), references: 1 };
        self.descriptions.insert(id, description);
        self.table.insert(fd, Descriptor { description: id, cloexec });
        id
    }

    /// Lets a further number, which is free, refer to a description.
    pub(super) fn share(&mut self, id: DescriptionId, fd: i32, cloexec: bool) {
        if let Some(description) = self.descriptions.get_mut(&id) {
            description.references += 1;
            self.table.insert(fd, Descriptor { description: id, cloexec });
        }
    }

    /// Frees a number. The description comes back when this was its last; epoll sets have let go of it then.
    pub(super) fn release(&mut self, fd: i32) -> Option<(DescriptionId, Description)> {
        let id = self.table.remove(&fd)?.description;
        let description = self.descriptions.get_mut(&id)?;
        description.references = description.references.saturating_sub(1);
        if description.references > 0 {
            return None;
        }
        let dead = self.descriptions.remove(&id)?;
        self.epolls.remove(&id);
        for set in &self.epolls {
            if let Some(Description { object: Object::Epoll(epoll), .. }) = self.descriptions.get_mut(set) {
                epoll.forget(id);
            }
        }
        Some((id, dead))
    }

    pub(super) fn set_cloexec(&mut self, call: &Call<'_>, fd: i32, cloexec: bool) -> Result<(), ModelError> {
        self.table.get_mut(&fd).ok_or_else(|| unknown(call, fd))?.cloexec = cloexec;
        Ok(())
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next
    }

    /// `sets` are the epoll sets.
    pub(super) fn check(&self, sets: &BTreeSet<DescriptionId>) -> Result<(), String> {
        if self.epolls != *sets {
            return Err(format!("the epoll sets are {sets:?}, noted are {:?}", self.epolls));
        }
        match self.descriptions.keys().next_back() {
            Some(highest) if highest.0 >= self.next => {
                Err(format!("the next description is {}, the highest {highest:?}", self.next))
            }
            _ => Ok(()),
        }
    }

    /// Numbers in a range, for close_range(2) and execve(2).
    pub(super) fn range(&self, first: u32, last: u32) -> Vec<i32> {
        let bound = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        if first > last {
            return Vec::new();
        }
        self.table.range(bound(first)..=bound(last)).map(|(&fd, _)| fd).collect()
    }
}

fn unknown(call: &Call<'_>, fd: i32) -> ModelError {
    call.inconsistent("an open descriptor", format_args!("descriptor {fd}, which is not open"))
}

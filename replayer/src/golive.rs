//! Going live: real kernel objects from the kernel-state model.
//!
//! Objects are made in ftrun's own process and placed in the server, each at the numbers by which the server knows it. What
//! belongs to the server's process itself (directories, credentials, timers, items of epoll sets) is set by calls that run
//! inside it. Memory, signal dispositions, the mask and the alternate stack are there already: replay has executed those
//! calls.
//!
//! Order: listeners first ([`Resumed::prepare`]), because the proxy must learn where they are before it connects the
//! clients anew; then, in [`revive`], descriptors, epoll sets, identity, and last what may interrupt: pending signals and
//! timers. User ids change just before those, when nothing needs the old rights any more.
//!
//! What cannot be carried over does not stop the server: it comes back as something that fails as a dead peer or a lost file
//! does, and is listed in [`Report::losses`].

mod events;
mod files;
mod identity;
mod pipes;
mod posix_timers;
mod server;
mod sockets;
mod sys;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use common::abi;
use common::ids::ConnId;
use common::kernel::{Description, DescriptionId, Kernel, Object, PipeId, bit, kernel_info};
use common::orders::Listener;
use thiserror::Error;

use server::Server;

/// The most bytes that [`Target::scratch`] must take.
pub const SCRATCH_LEN: usize = 4096;

/// The server's process, standing still between two calls.
pub trait Target {
    /// Runs a call inside the server. The result is the kernel's own: a negative errno when the call failed.
    ///
    /// # Errors
    /// When the call could not be run.
    fn call(&mut self, number: i64, args: [u64; 6]) -> Result<i64, TargetError>;

    /// Makes a descriptor of ftrun appear as `number` in the server, in place of what may be there.
    ///
    /// # Errors
    /// When it could not be handed over.
    fn place(&mut self, fd: BorrowedFd<'_>, number: i32, cloexec: bool) -> Result<(), TargetError>;

    /// Puts at most [`SCRATCH_LEN`] bytes at an address in the server where calls can read and write them, until the next
    /// use of it.
    ///
    /// # Errors
    /// When the memory could not be written.
    fn scratch(&mut self, bytes: &[u8]) -> Result<u64, TargetError>;

    /// First address of each of the server's areas of memory and one past the last, in order. What is ftrun's own is none.
    ///
    /// # Errors
    /// When they cannot be read.
    fn areas(&mut self) -> Result<Vec<(u64, u64)>, TargetError>;
}

/// The server's process does not do what it is told.
#[derive(Debug, Error)]
#[error("cannot {what} in the server: {source}")]
pub struct TargetError {
    /// What was tried.
    pub what: String,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// Why a replica cannot go live.
#[derive(Debug, Error)]
pub enum GoLiveError {
    /// The server's process does not answer.
    #[error("the server's process failed while it went live: {0}")]
    Target(#[from] TargetError),
    /// A call inside the server failed without which it must not go on.
    #[error("{call} inside the server failed while it went live: {source}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// The error it gave.
        #[source]
        source: io::Error,
    },
    /// An object could not be made, nor anything in its stead.
    #[error("cannot make {what} for the server: {source}")]
    Make {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A listener cannot be moved to the advertised address.
    #[error(
        "the server's listener {asked} cannot be moved to {advertise}: expected an address of the same family to advertise"
    )]
    Family {
        /// What the server asked for.
        asked: SocketAddr,
        /// Where it should go.
        advertise: IpAddr,
    },
    /// A listener of the model was not prepared.
    #[error("listener {asked} was not prepared: the model has changed since the listeners were moved")]
    NotPrepared {
        /// What the server asked for.
        asked: SocketAddr,
    },
    /// The log ends with the server.
    #[error("the server has ended with wait status {status}: there is nothing to carry on")]
    Ended {
        /// As of waitpid(2).
        status: i64,
    },
}

/// Something that was not carried over as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The descriptors concerned; none when it is the process itself.
    pub numbers: Vec<i32>,
    /// What it is.
    pub what: String,
    /// What is different now, and why.
    pub why: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The listeners at their new places.
    pub listeners: Vec<Listener>,
    /// Numbers placed in the server.
    pub placed: usize,
    /// Connections that came back with a dead peer, because nobody resumed them.
    pub gone: Vec<ConnId>,
    /// What was not carried over as it was.
    pub losses: Vec<Loss>,
}

/// The sockets that need the proxy: listeners at their new places, and connections that it has made again.
#[derive(Debug)]
pub struct Resumed {
    listeners: BTreeMap<DescriptionId, (Listener, OwnedFd)>,
    connections: BTreeMap<ConnId, OwnedFd>,
    losses: Vec<(DescriptionId, String)>,
}

impl Resumed {
    /// Makes the listeners of the model, each at a free port of `advertise`. Those that listened do so at once: what
    /// connects waits in their queues.
    ///
    /// # Errors
    /// When a listener cannot be made or does not fit the address.
    pub fn prepare(kernel: &Kernel, advertise: IpAddr) -> Result<Self, GoLiveError> {
        let mut resumed = Self { listeners: BTreeMap::new(), connections: BTreeMap::new(), losses: Vec::new() };
        for listener in kernel.listeners() {
            let Some(Object::Tcp(socket)) = kernel.descriptors().description(listener.description).map(|d| &d.object)
            else {
                continue;
            };
            let (fd, real, failed) = sockets::move_listener(socket, &listener, advertise)?;
            let moved = Listener { id: listener.bound.id, asked: listener.bound.asked, real };
            resumed.losses.extend(failed.into_iter().map(|why| (listener.description, why)));
            resumed.listeners.insert(listener.description, (moved, fd));
        }
        Ok(resumed)
    }

    /// The listeners at their new places, for the proxy.
    #[must_use]
    pub fn listeners(&self) -> Vec<Listener> {
        self.listeners.values().map(|(listener, _)| *listener).collect()
    }

    /// A connection that the proxy has made again. Its header is read, and the output that the proxy lacked is sent.
    pub fn insert(&mut self, conn: ConnId, socket: OwnedFd) {
        self.connections.insert(conn, socket);
    }
}

/// The server's CLOCK_MONOTONIC: what is left of its timers is counted from there.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// How far it is ahead of this machine's, in nanoseconds.
    pub offset_ns: i64,
}

impl Clock {
    /// A clock that is `offset_ns` ahead of this machine's.
    #[must_use]
    pub fn ahead_by(offset_ns: i64) -> Self {
        Self { offset_ns }
    }
}

/// Makes everything that `kernel` says and gives it to the server.
///
/// The server's process must hold no descriptors of its own but those that the target needs, and all its signals must be
/// blocked: those that are raised here are for it to take.
///
/// # Errors
/// When the server's process fails, or cannot be made what the model says in a point that concerns its security or its
/// clients. It is lost then.
pub fn revive(
    kernel: &Kernel,
    target: &mut dyn Target,
    sockets: &mut Resumed,
    clock: Clock,
) -> Result<Report, GoLiveError> {
    if let Some(status) = kernel.ended() {
        return Err(GoLiveError::Ended { status });
    }
    let mut numbers: BTreeMap<DescriptionId, Vec<(i32, bool)>> = BTreeMap::new();
    for (number, descriptor) in kernel.descriptors().numbers() {
        numbers.entry(descriptor.description).or_default().push((number, descriptor.cloexec));
    }
    let report = Report { listeners: sockets.listeners(), ..Report::default() };
    let mut revival = Revival {
        kernel,
        server: Server::new(target),
        sockets,
        clock,
        numbers,
        pairs: BTreeMap::new(),
        pipes: BTreeMap::new(),
        report,
    };
    revival.close_what_the_server_closed()?;
    for (id, description) in kernel.descriptors().descriptions() {
        let fd = revival.make(id, description)?;
        revival.place(id, fd)?;
    }
    revival.fill_epoll_sets()?;
    revival.take_process_locks()?;
    revival.become_the_server()?;
    revival.raise_pending_signals()?;
    revival.start_interval_timers()?;
    revival.make_posix_timers()?;
    Ok(revival.report)
}

/// Numbers that mean nothing to the server, the best first: a higher one than any in use; where the limit forbids that, the
/// highest free one below. `socket` is in use too. A number by which an epoll set knows an item is in use even if it is closed: it is lent to the
/// item when that is added again.
pub(crate) fn numbers_apart(kernel: &Kernel, socket: i32) -> impl Iterator<Item = i32> + use<> {
    let mut used: BTreeSet<i32> = kernel.descriptors().numbers().map(|(number, _)| number).collect();
    for (_, description) in kernel.descriptors().descriptions() {
        if let Object::Epoll(epoll) = &description.object {
            used.extend(epoll.items.keys().map(|key| key.fd));
        }
    }
    used.insert(socket);
    let highest = used.last().copied().unwrap_or(2).max(2);
    (3..=highest + 1).rev().filter(move |number| !used.contains(number))
}

/// One going live under way.
struct Revival<'a> {
    kernel: &'a Kernel,
    server: Server<'a>,
    sockets: &'a mut Resumed,
    clock: Clock,
    numbers: BTreeMap<DescriptionId, Vec<(i32, bool)>>,
    /// Second ends of socket pairs, made with the first.
    pairs: BTreeMap<DescriptionId, OwnedFd>,
    /// Ends of pipes that are made and not yet placed: reading, writing.
    pipes: BTreeMap<PipeId, (Option<OwnedFd>, Option<OwnedFd>)>,
    report: Report,
}

impl Revival<'_> {
    /// The process may have come with standard descriptors that the server has closed since.
    fn close_what_the_server_closed(&mut self) -> Result<(), GoLiveError> {
        for number in 0..3 {
            if self.kernel.object(number).is_none() {
                // Not open is what it should be.
                self.server.try_run(libc::SYS_close, [abi::word(number), 0, 0, 0, 0, 0])?.ok();
            }
        }
        Ok(())
    }

    fn make(&mut self, id: DescriptionId, description: &Description) -> Result<OwnedFd, GoLiveError> {
        let fd = match &description.object {
            Object::Inherited(inherited) => self.inherited(id, inherited, description.flags)?,
            Object::File(file) | Object::Directory(file) => self.reopen(id, file, description)?,
            Object::Device { path } => self.open_path(id, path, description.flags)?,
            Object::Tcp(socket) => self.tcp(id, socket)?,
            Object::Udp(socket) => self.udp(id, socket)?,
            Object::Unix(socket) => self.unix(id, socket)?,
            Object::Netlink(socket) => self.netlink(id, socket)?,
            Object::Pair(end) => self.pair_end(id, end)?,
            Object::PipeReader(pipe) => self.pipe_end(id, *pipe, true)?,
            Object::PipeWriter(pipe) => self.pipe_end(id, *pipe, false)?,
            Object::EventFd(counter) => events::eventfd(counter)?,
            Object::TimerFd(timer) => self.timerfd(id, timer)?,
            Object::SignalFd { mask } => sys::signalfd(*mask).map_err(made("a signalfd"))?,
            Object::Inotify(inotify) => self.inotify(id, inotify)?,
            Object::Epoll(_) => sys::epoll_create().map_err(made("an epoll set"))?,
            Object::Opaque { what } => {
                self.lose(id, what.clone(), "cannot be carried over: it gives EBADF from now on");
                files::lost()?
            }
        };
        if !matches!(description.object, Object::Inherited(_)) {
            let status = description.flags & (libc::O_APPEND | libc::O_NONBLOCK | libc::O_DIRECT | libc::O_NOATIME);
            if let Err(error) = sys::set_status(fd.as_fd(), status)
                // What stands in for something lost has no status flags.
                && error.raw_os_error() != Some(libc::EBADF)
            {
                self.lose(id, description.object.kind().to_owned(), format!("has lost its status flags: {error}"));
            }
        }
        self.lock_whole(id, fd.as_fd(), &description.locks);
        Ok(fd)
    }

    /// Places a description at its first number; the others are made from that one.
    fn place(&mut self, id: DescriptionId, fd: OwnedFd) -> Result<(), GoLiveError> {
        let numbers = self.numbers.get(&id).cloned().unwrap_or_default();
        let Some((&(first, cloexec), others)) = numbers.split_first() else {
            return Ok(());
        };
        self.server.target.place(fd.as_fd(), first, cloexec)?;
        for &(number, cloexec) in others {
            self.server.dup(first, number, cloexec)?;
        }
        self.report.placed += numbers.len();
        self.signal_readiness(id, first, fd.as_fd())?;
        Ok(())
    }

    /// SIGIO on readiness, and for whom.
    fn signal_readiness(&mut self, id: DescriptionId, number: i32, fd: BorrowedFd<'_>) -> Result<(), GoLiveError> {
        let Some(description) = self.kernel.descriptors().description(id) else { return Ok(()) };
        // The group that it leads, or will lead, has its number.
        let leads = self.kernel.identity().pgrp == self.kernel.identity().pid;
        let pid = self.kernel.identity().pid;
        let owner = match description.owner {
            0 => None,
            owner if owner == pid || leads && owner == -pid => {
                let own = self.server.run("getpid", libc::SYS_getpid, [0; 6])?;
                Some(if owner < 0 { own.wrapping_neg() } else { own })
            }
            owner => {
                let why = format!("tells {owner} of readiness no more: that process or group is not here");
                self.lose(id, description.object.kind(), why);
                None
            }
        };
        let flags = (description.flags & libc::O_ASYNC != 0).then_some(abi::word(description.flags));
        for (operation, value) in [(libc::F_SETOWN, owner), (libc::F_SETFL, flags)] {
            let Some(value) = value else { continue };
            let args = [abi::word(number), abi::word(operation), value, 0, 0, 0];
            if let Err(error) = self.server.try_run(libc::SYS_fcntl, args)? {
                self.lose(id, description.object.kind(), format!("raises no signals of readiness any more: {error}"));
            }
        }
        if owner.is_some() && flags.is_some() {
            self.tell_of_news(&description.object, fd)?;
        }
        Ok(())
    }

    /// SIGIO for what has come before the owner was set. What the server itself has sent is told of by the model.
    fn tell_of_news(&mut self, object: &Object, fd: BorrowedFd<'_>) -> Result<(), GoLiveError> {
        let from_others = matches!(object, Object::Tcp(_) | Object::Udp(_) | Object::Unix(_) | Object::Inherited(_));
        let signals = self.kernel.signals();
        // By default it ends the process.
        let taken = signals.mask() & bit(libc::SIGIO) != 0 || signals.disposition(libc::SIGIO).is_handled();
        if from_others && taken && sys::is_readable(fd).map_err(made("out what is readable"))? {
            self.raise_from_kernel(libc::SIGIO)?;
        }
        Ok(())
    }

    /// Sends the server a signal as the kernel does.
    fn raise_from_kernel(&mut self, signal: i32) -> Result<(), GoLiveError> {
        let own = self.server.run("getpid", libc::SYS_getpid, [0; 6])?;
        let info = self.server.bytes(&kernel_info(signal))?;
        self.server.run("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, [own, abi::word(signal), info, 0, 0, 0])?;
        Ok(())
    }

    fn lose(&mut self, id: DescriptionId, what: impl Into<String>, why: impl Into<String>) {
        let numbers = self.numbers.get(&id).into_iter().flatten().map(|&(number, _)| number).collect();
        self.report.losses.push(Loss { numbers, what: what.into(), why: why.into() });
    }

    /// A loss of the process itself.
    fn lose_trait(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.report.losses.push(Loss { numbers: Vec::new(), what: what.into(), why: why.into() });
    }
}

/// Turns the error of making something into the error of going live.
fn made(what: &str) -> impl FnOnce(io::Error) -> GoLiveError + '_ {
    move |source| GoLiveError::Make { what: what.to_owned(), source }
}

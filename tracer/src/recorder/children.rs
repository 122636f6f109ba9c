//! Processes that the server starts: their birth, and waits for those that another machine has taken with it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use common::abi;
use common::kernel::{Object, TcpState, WaitFor, killed_info};
use common::record::{Segment, SegmentRole};
use common::syscall::{Memory, nr};

use super::signal::Ran;
use super::{Before, InCall, Recorder, RecordingError};
use crate::family::{Bonds, FamilyError, Newborn, Released};
use crate::inject::{Held, Session};
use crate::signals;
use crate::sys::pidfd::ChildProcess;
use crate::sys::ptrace::Resume;
use crate::tracee::{Call, Event, Registers, Stopped, TraceeError};

/// How often to look whether the server still lives while it waits for a child of vfork(2).
const LOOK: Duration = Duration::from_millis(20);
/// Bytes between two changed ones that are taken for changed too: a segment has a head of 16 bytes.
const GAP: usize = 16;
/// What a child of vfork(2) may have written at most, in bytes: it must fit a record.
const MOST_WRITTEN: usize = 16 << 20;

/// The flags of clone(2) that a call has; `None` when it starts no process.
pub(super) fn flags(call: &Call) -> Option<u64> {
    let vfork = (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD).cast_unsigned().into();
    match call.record_number() {
        nr::CLONE => Some(call.args[0]),
        nr::FORK => Some(u64::from(libc::SIGCHLD.cast_unsigned())),
        nr::VFORK => Some(vfork),
        _ => None,
    }
}

fn has(flags: u64, flag: i32) -> bool {
    flags & u64::from(flag.cast_unsigned()) != 0
}

/// Whether a call starts a second thread, or a process that goes on in the server's memory.
pub(super) fn starts_a_thread(call: &Call) -> bool {
    let clone = call.record_number() == nr::CLONE;
    let flags = call.args[0];
    clone && (has(flags, libc::CLONE_THREAD) || has(flags, libc::CLONE_VM) && !has(flags, libc::CLONE_VFORK))
}

/// The registers of the call with memory of its own for the child, and a parent that does not wait in the kernel.
pub(super) fn with_own_memory(regs: &Registers, call: &Call) -> Option<Registers> {
    let flags = flags(call)?;
    let apart = u64::from((libc::CLONE_VM | libc::CLONE_VFORK).cast_unsigned());
    if flags & apart == 0 {
        return None;
    }
    let mut changed = *regs;
    if call.record_number() == nr::CLONE {
        changed.rdi &= !apart;
    } else {
        changed.orig_rax = nr::FORK.into();
    }
    Some(changed)
}

impl Recorder<'_> {
    /// Whether the server knows another process by this number: itself, or a child that was lost with its machine.
    pub(super) fn is_taken(&self, pid: i32) -> bool {
        let own = self.kernel().identity();
        self.adopted && (pid == own.pid || own.children.get(&pid).is_some_and(|child| child.killed))
    }

    /// Ends a new process whose number is taken, before its first instruction; the server is to make its call again.
    pub(super) fn bury(&mut self, server: Stopped, pid: i32, regs: &Registers) -> Result<Ran, RecordingError> {
        // Who is not followed is ended.
        drop(Newborn::new(pid));
        let own = server.pid();
        let unexpected = |expected, found: &Event| TraceeError::Unexpected { pid: own, expected, found: found.name() };
        let server = match server.run(Resume::ToSyscallExit, 0)? {
            Event::SyscallExit(server) => server,
            Event::Dead(status) => return Ok(Ran::Dead(status)),
            other => return Err(unexpected("the return of a fork", &other).into()),
        };
        let session = Session::begin(server, signals::before_call(regs));
        let all = u64::from(libc::__WALL.cast_unsigned());
        let (session, _) = session.call_raw(nr::WAIT4.into(), [abi::word(pid), 0, all, 0, 0, 0])?;
        let (server, held) = session.end()?;
        let of_it = |held: &Held| held.signal == libc::SIGCHLD && held.info[16..20] == pid.to_le_bytes();
        self.held.extend(held.into_iter().filter(|held| !of_it(held)));
        let mut event = server.run(Resume::Continue, 0)?;
        loop {
            event = match event {
                Event::Seccomp(server) => return Ok(Ran::Anew(server)),
                Event::Signal(server, signal) => {
                    let held = Held { signal, info: server.siginfo()? };
                    self.held.extend(Some(held).filter(|held| !of_it(held)));
                    server.run(Resume::Continue, 0)?
                }
                Event::Dead(status) => return Ok(Ran::Dead(status)),
                other => return Err(unexpected("the same call again", &other).into()),
            };
        }
    }

    /// The server has started process `pid`, and stands in the midst of the call.
    pub(super) fn birth(&mut self, server: &Stopped, pid: i32, call: &Call) -> Result<(), RecordingError> {
        let flags = flags(call).unwrap_or_default();
        let descriptors = self.not_for_children();
        let started = Newborn::new(pid)
            .and_then(|child| child.prepare(Bonds { sites: &self.sites, descriptors: &descriptors }))
            .and_then(|(child, shared)| Ok((self.family.take(child, has(flags, libc::CLONE_VFORK))?, shared)));
        let (released, shared) = match started {
            Ok(started) => started,
            // Somebody has killed it: the server sees that.
            Err(error) if is_gone(&error, pid) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if shared > 0 {
            let what = "what one writes into shared anonymous memory from now on the other does not see";
            self.warn_once(format!("the server has started a process: {what}"));
        }
        if has(flags, libc::CLONE_PARENT_SETTID) {
            let id =
                Segment { address: call.args[2], role: SegmentRole::Out, arg: 0, bytes: pid.to_le_bytes().to_vec() };
            self.born.extend((call.args[2] != 0).then_some(id));
        }
        if let Some(released) = released {
            let written = await_release(&released, server.pid());
            if has(flags, libc::CLONE_VM) {
                let mut written = self.show_written(server, &written)?;
                self.born.append(&mut written);
            }
        }
        Ok(())
    }

    /// Connections of clients and listeners: what a child did with them could not be replicated.
    fn not_for_children(&self) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        let descriptors = self.kernel().descriptors();
        for (fd, _) in descriptors.numbers() {
            let serves = matches!(self.kernel().object(fd), Some(Object::Tcp(tcp))
                if matches!(tcp.state, TcpState::Accepted(_) | TcpState::Listening { .. }));
            let Some(fd) = u32::try_from(fd).ok().filter(|_| serves) else { continue };
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == fd => *last = fd,
                _ => ranges.push((fd, fd)),
            }
        }
        ranges
    }

    /// Puts into the server's memory what its child has written there.
    fn show_written(&mut self, server: &Stopped, written: &Released) -> Result<Vec<Segment>, RecordingError> {
        let mut segments: Vec<Segment> = Vec::new();
        for (address, page) in written {
            let Ok(own) = server.bytes(*address, page.len()) else { continue };
            for (from, to) in changed(&own, page) {
                let bytes = page[from..to].to_vec();
                segments.push(Segment { address: address + from as u64, role: SegmentRole::Out, arg: 0, bytes });
            }
        }
        if segments.iter().map(|segment| segment.bytes.len() + GAP).sum::<usize>() > MOST_WRITTEN {
            self.warn_once("what a child of vfork has written into the server's memory is lost: it is too much".into());
            return Ok(Vec::new());
        }
        for segment in &segments {
            server.write(segment.address, &segment.bytes)?;
        }
        Ok(segments)
    }

    fn warn_once(&mut self, text: String) {
        if !self.refused.contains(&text) {
            crate::say!("{text}");
            self.refused.insert(text);
        }
    }

    /// The answer to a call that concerns a child which was lost with its machine; `None` when it concerns no such child.
    pub(super) fn of_killed_child(&self, stopped: &Stopped, flow: &InCall) -> Option<Before> {
        if !self.adopted {
            return None;
        }
        let [first, second, third, fourth, ..] = flow.call.args;
        let kernel = self.kernel();
        let put = |address: u64, bytes: &[u8]| address == 0 || stopped.write(address, bytes).is_ok();
        let (done, result) = match flow.shape.number {
            nr::WAIT4 => {
                let pid = kernel.killed_child(WaitFor::of_wait4(abi::int(first)), abi::int(third))?;
                (put(second, &libc::SIGKILL.to_le_bytes()) && put(fourth, &[0; 144]), i64::from(pid))
            }
            nr::WAITID if abi::int(fourth) & libc::WEXITED != 0 => {
                let wanted = WaitFor::of_waitid(abi::uint(first), abi::int(second))?;
                let pid = kernel.killed_child(wanted, abi::int(fourth))?;
                let mut info = killed_info(pid, kernel.identity().uids.real);
                info[..4].copy_from_slice(&libc::SIGCHLD.to_le_bytes());
                (put(third, &info[..28]) && put(flow.call.args[4], &[0; 144]), 0)
            }
            nr::KILL if kernel.identity().children.get(&abi::int(first)).is_some_and(|child| child.killed) => (true, 0),
            _ => return None,
        };
        Some(Before::Answer(if done { result } else { -i64::from(libc::EFAULT) }))
    }

    /// The server's processes end with it.
    pub(super) fn end_children(&mut self) {
        match self.family.end() {
            0 => {}
            1 => crate::say!("the server has ended, and 1 process that it had started is ended with it"),
            many => crate::say!("the server has ended, and {many} processes that it had started are ended with it"),
        }
    }
}

fn is_gone(error: &FamilyError, pid: i32) -> bool {
    let killed = match error {
        FamilyError::Tracee(error) => error.is_gone(),
        FamilyError::Inject(crate::inject::InjectError::Tracee(error)) => error.is_gone(),
        _ => false,
    };
    killed && ChildProcess::open(pid).is_ok_and(|child| child.has_ended())
}

/// Waits until a child of vfork(2) has left its parent's memory.
fn await_release(released: &Receiver<Released>, server: i32) -> Released {
    let server = ChildProcess::open(server);
    loop {
        match released.recv_timeout(LOOK) {
            Ok(written) => return written,
            Err(RecvTimeoutError::Timeout) if server.as_ref().is_ok_and(|server| !server.has_ended()) => {}
            Err(_) => return Released::new(),
        }
    }
}

/// The ranges in which two pages differ.
fn changed(old: &[u8], new: &[u8]) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (at, _) in old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new) {
        match ranges.last_mut() {
            Some((_, end)) if at <= *end + GAP => *end = at + 1,
            _ => ranges.push((at, at + 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_changes_are_one_range() {
        let old = [0; 100];
        let mut new = old;
        for at in [3, 4, 20, 60] {
            new[at] = 1;
        }
        assert_eq!(changed(&old, &new), [(3, 21), (60, 61)]);
        assert_eq!(changed(&old, &old), []);
    }

    #[test]
    fn only_who_shares_memory_for_good_is_a_thread() {
        let clone =
            |flags: i32| Call { number: nr::CLONE.into(), args: [u64::from(flags.cast_unsigned()), 0, 0, 0, 0, 0] };
        assert!(
            starts_a_thread(&clone(libc::CLONE_VM)) && starts_a_thread(&clone(libc::CLONE_VFORK | libc::CLONE_THREAD))
        );
        assert!(
            !starts_a_thread(&clone(libc::CLONE_VM | libc::CLONE_VFORK)) && !starts_a_thread(&clone(libc::SIGCHLD))
        );
    }
}

//! Children of the server: processes that run outside of what is replicated.
//!
//! Who lives is known from the calls that started and those that waited for them. When another replica goes live the children
//! are killed ones: each can be waited for once more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::{Call, i32_at};
use super::signal::{Sent, bit};

/// Options of wait4(2) and waitid(2) that choose children by their signal.
const WALL: i32 = 0x4000_0000;
const WCLONE: i32 = i32::MIN;
/// Bytes of siginfo_t, and where its fields for SIGCHLD stand.
const SIGINFO_LEN: usize = 128;
const CODE_AT: usize = 8;
const PID_AT: usize = 16;
const SIGNAL_MASK: u64 = 0xff;

/// A child that the server can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// What it sends at its end; 0 for nothing.
    pub exit_signal: i32,
    /// It was lost with its machine: the server is to see that SIGKILL has ended it.
    pub killed: bool,
}

/// By process id.
pub type Children = BTreeMap<i32, Child>;

/// Whom a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// Any child.
    Any,
    /// The one with this id.
    Process(i32),
    /// Any in this group; 0 for the server's own.
    Group(i32),
}

impl WaitFor {
    /// The first argument of wait4(2).
    #[must_use]
    pub fn of_wait4(pid: i32) -> Self {
        match pid {
            -1 => Self::Any,
            0 => Self::Group(0),
            1.. => Self::Process(pid),
            _ => Self::Group(pid.saturating_neg()),
        }
    }

    /// The first two arguments of waitid(2); `None` when they name a descriptor, or nothing.
    #[must_use]
    pub fn of_waitid(kind: u32, id: i32) -> Option<Self> {
        match kind {
            libc::P_ALL => Some(Self::Any),
            libc::P_PID => Some(Self::Process(id)),
            libc::P_PGID => Some(Self::Group(id)),
            _ => None,
        }
    }
}

impl Child {
    /// Whether a wait with these options looks at it.
    fn is_meant(&self, options: i32) -> bool {
        options & WALL != 0 || (options & WCLONE != 0) == (self.exit_signal != libc::SIGCHLD)
    }
}

/// The siginfo_t of the end of a killed child.
#[must_use]
pub fn killed_info(pid: i32, uid: u32) -> [u8; SIGINFO_LEN] {
    let words = [libc::SIGCHLD, 0, libc::CLD_KILLED, 0, pid, uid.cast_signed(), libc::SIGKILL];
    let mut info = [0; SIGINFO_LEN];
    for (to, word) in info.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    info
}

impl Kernel {
    /// Children that live, as far as the records tell.
    #[must_use]
    pub fn living_children(&self) -> usize {
        self.identity.children.values().filter(|child| !child.killed).count()
    }

    /// The child that a wait is to report as killed, if there is one for it.
    #[must_use]
    pub fn killed_child(&self, wanted: WaitFor, options: i32) -> Option<i32> {
        let of_group = |pid: i32, group: i32| [0, self.identity.pgrp, pid].contains(&group);
        let is_wanted = |pid: i32| match wanted {
            WaitFor::Any => true,
            WaitFor::Process(id) => id == pid,
            WaitFor::Group(group) => of_group(pid, group),
        };
        let mut killed = self.identity.children.iter().filter(|(_, child)| child.killed && child.is_meant(options));
        killed.find(|(pid, _)| is_wanted(**pid)).map(|(&pid, _)| pid)
    }

    /// Another machine goes live, on which there are no children: they have been killed. No record says so, since this is for the
    /// replica alone that goes live.
    pub fn lose_children(&mut self) {
        // SA_NOCLDWAIT.
        let disposition = self.signals.disposition(libc::SIGCHLD);
        if disposition.handler == libc::SIG_IGN as u64 || disposition.flags & libc::SA_NOCLDWAIT as u64 != 0 {
            self.identity.children.retain(|_, child| child.exit_signal != libc::SIGCHLD);
        }
        let uid = self.identity.uids.real;
        for (&pid, child) in self.identity.children.iter_mut().filter(|(_, child)| !child.killed) {
            child.killed = true;
            if bit(child.exit_signal) != 0 {
                let mut info = killed_info(pid, uid);
                info[..4].copy_from_slice(&child.exit_signal.to_le_bytes());
                self.signals.sent(child.exit_signal, Sent::Queued(info.to_vec()));
            }
        }
        self.signals.unblocked();
    }

    /// fork(2) and its kin: `flags` are those of clone(2).
    pub(super) fn forked(&mut self, call: &Call<'_>, flags: u64) {
        self.identity.forked = true;
        let exit_signal = i32::try_from(flags & SIGNAL_MASK).unwrap_or(0);
        let disposition = self.signals.disposition(libc::SIGCHLD);
        let nobody_waits =
            disposition.handler == libc::SIG_IGN as u64 || disposition.flags & libc::SA_NOCLDWAIT as u64 != 0;
        if exit_signal != libc::SIGCHLD || !nobody_waits {
            self.identity.children.insert(call.int_result(), Child { exit_signal, killed: false });
        }
    }

    pub(super) fn wait4(&mut self, call: &Call<'_>) {
        let status = call.output(1);
        let ended = match status.first_chunk::<4>() {
            Some(status) => {
                let status = i32::from_le_bytes(*status);
                libc::WIFEXITED(status) || libc::WIFSIGNALED(status)
            }
            // It was not asked: most likely no call that cares for stops.
            None => true,
        };
        if ended {
            self.identity.children.remove(&call.int_result());
        }
    }

    pub(super) fn waitid(&mut self, call: &Call<'_>) {
        let info = call.output(2);
        if call.int(3) & libc::WNOWAIT != 0 || info.len() < PID_AT + 4 {
            return;
        }
        if [libc::CLD_EXITED, libc::CLD_KILLED, libc::CLD_DUMPED].contains(&i32_at(&info, CODE_AT)) {
            self.identity.children.remove(&i32_at(&info, PID_AT));
        }
    }

    /// A wait has said ECHILD: there are none of those that it waited for.
    pub(super) fn no_child(&mut self, wanted: Option<WaitFor>, options: i32) {
        let children = &mut self.identity.children;
        match wanted {
            Some(WaitFor::Any) => children.retain(|_, child| !child.is_meant(options)),
            Some(WaitFor::Process(pid)) if children.get(&pid).is_some_and(|child| child.is_meant(options)) => {
                children.remove(&pid);
            }
            _ => {}
        }
    }
}

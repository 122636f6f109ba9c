//! Who the process is: ids, credentials, directories, limits, name.
//!
//! Capabilities are not kept: they follow from the user ids of the machine that goes live.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::{Call, ModelError, u64_at};
use super::children::Children;
use super::path::PathBytes;

/// Real, effective and saved id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ids {
    /// Who started it.
    pub real: u32,
    /// Whose rights it has.
    pub effective: u32,
    /// Whose rights it may take back.
    pub saved: u32,
}

impl Ids {
    /// All three the same.
    #[must_use]
    pub fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id }
    }

    /// setuid(2), setgid(2).
    fn set(&mut self, privileged: bool, id: u32) {
        if privileged {
            *self = Self::all(id);
        } else {
            self.effective = id;
        }
    }

    /// setreuid(2), setregid(2); `u32::MAX` leaves an id as it is.
    fn set_two(&mut self, real: u32, effective: u32) {
        let old = *self;
        self.set_three(real, effective, u32::MAX);
        if real != u32::MAX || (effective != u32::MAX && effective != old.real) {
            self.saved = self.effective;
        }
    }

    /// setresuid(2), setresgid(2).
    fn set_three(&mut self, real: u32, effective: u32, saved: u32) {
        for (id, new) in [(&mut self.real, real), (&mut self.effective, effective), (&mut self.saved, saved)] {
            if new != u32::MAX {
                *id = new;
            }
        }
    }
}

/// A resource limit, `u64::MAX` for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The soft limit.
    pub current: u64,
    /// The hard limit.
    pub maximum: u64,
}

/// Who the process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// As the server sees it.
    pub pid: i32,
    /// Its one thread.
    pub tid: i32,
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
    /// Supplementary groups, in the order given.
    pub groups: Vec<u32>,
    /// The root directory, as seen from outside of it.
    pub root: PathBytes,
    /// The working directory, as seen from outside of the root.
    pub cwd: PathBytes,
    /// Mode bits that new files do not get.
    pub umask: u32,
    /// Limits that the server set, by RLIMIT_*.
    pub limits: BTreeMap<i32, Limit>,
    /// As PR_SET_NAME sets it, at most 15 bytes.
    pub name: Vec<u8>,
    /// Values set by prctl(2) that are plain numbers, by PR_SET_*.
    pub settings: BTreeMap<i32, u64>,
    /// Where the kernel clears the thread id at the end (set_tid_address(2)).
    pub tid_address: u64,
    /// Head and length of the list of robust futexes (set_robust_list(2)).
    pub robust_list: (u64, u64),
    /// Children started and not yet waited for.
    pub children: Children,
    /// Whether there ever was a child: it may hold the other end of pipes.
    pub forked: bool,
}

/// prctl(2) options of which the model keeps the number: PDEATHSIG, DUMPABLE, KEEPCAPS, TIMERSLACK, CHILD_SUBREAPER,
/// NO_NEW_PRIVS.
const KEPT_SETTINGS: [i32; 6] = [
    libc::PR_SET_PDEATHSIG,
    libc::PR_SET_DUMPABLE,
    libc::PR_SET_KEEPCAPS,
    libc::PR_SET_TIMERSLACK,
    libc::PR_SET_CHILD_SUBREAPER,
    libc::PR_SET_NO_NEW_PRIVS,
];
const NAME_LEN: usize = 15;

impl Identity {
    /// What a path means that the server uses.
    pub(super) fn resolve(&self, call: &Call<'_>, name: &[u8]) -> Result<PathBytes, ModelError> {
        call.bounded(self.cwd.join(&self.root, name))
    }

    /// The directory that a call enters.
    fn entered(&self, call: &Call<'_>) -> Result<PathBytes, ModelError> {
        match call.resolved_path()? {
            Some(path) => Ok(path),
            None => self.resolve(call, call.input(0)?),
        }
    }

    fn is_me(&self, pid: i32) -> bool {
        pid == 0 || pid == self.pid
    }
}

impl Kernel {
    /// Calls that change nothing but who the process is. False when `call` is none of them.
    pub(super) fn identity_call(&mut self, call: &Call<'_>) -> Result<bool, ModelError> {
        let id = &mut self.identity;
        let (a, b, c) = (call.uint(0), call.uint(1), call.uint(2));
        match call.number() {
            libc::SYS_setuid => id.uids.set(id.uids.effective == 0, a),
            libc::SYS_setgid => id.gids.set(id.uids.effective == 0, a),
            libc::SYS_setreuid => id.uids.set_two(a, b),
            libc::SYS_setregid => id.gids.set_two(a, b),
            libc::SYS_setresuid => id.uids.set_three(a, b, c),
            libc::SYS_setresgid => id.gids.set_three(a, b, c),
            libc::SYS_setgroups => {
                let groups = if a == 0 { &[] } else { call.input(1)? };
                id.groups = groups.as_chunks::<4>().0.iter().map(|group| u32::from_le_bytes(*group)).collect();
            }
            libc::SYS_umask => id.umask = a & 0o777,
            libc::SYS_chdir => id.cwd = id.entered(call)?,
            libc::SYS_chroot => id.root = id.entered(call)?,
            libc::SYS_setsid => {
                id.sid = call.int_result();
                id.pgrp = id.sid;
            }
            libc::SYS_setpgid if id.is_me(call.int(0)) => id.pgrp = if b == 0 { id.pid } else { call.int(1) },
            libc::SYS_prlimit64 if id.is_me(call.int(0)) && call.arg(2) != 0 => {
                id.limits.insert(call.int(1), limit(&call.input_array::<16>(2)?));
            }
            libc::SYS_setrlimit => {
                id.limits.insert(call.int(0), limit(&call.input_array::<16>(1)?));
            }
            libc::SYS_prctl => return self.prctl(call).map(|()| true),
            libc::SYS_set_tid_address => id.tid_address = call.arg(0),
            libc::SYS_set_robust_list => id.robust_list = (call.arg(0), call.arg(1)),
            libc::SYS_fork | libc::SYS_vfork => self.forked(call, u64::from(libc::SIGCHLD.cast_unsigned())),
            libc::SYS_clone => self.forked(call, call.arg(0)),
            libc::SYS_wait4 => self.wait4(call),
            libc::SYS_waitid => self.waitid(call),
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn fchdir(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let path = match call.resolved_path()? {
            Some(path) => path,
            None => self.path_at(call, call.int(0), b".")?,
        };
        self.identity.cwd = path;
        Ok(())
    }

    fn prctl(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let option = call.int(0);
        if option == libc::PR_SET_NAME {
            let name = call.input(1)?.split(|&b| b == 0).next().unwrap_or_default();
            self.identity.name = name[..name.len().min(NAME_LEN)].to_vec();
        } else if KEPT_SETTINGS.contains(&option) {
            self.identity.settings.insert(option, call.arg(1));
        }
        Ok(())
    }

    /// execve(2): a new program in the same process, with this name. Timers, pending signals, the mask, directories and limits stay.
    pub(super) fn exec(&mut self, name: &[u8]) {
        for fd in self.descriptors.range(0, u32::MAX) {
            if self.descriptors.entry(fd).is_some_and(|d| d.cloexec) {
                self.close_number(fd);
            }
        }
        self.signals.exec();
        self.posix_timers.exec();
        self.memory_locks.exec();
        self.identity.tid_address = 0;
        self.identity.robust_list = (0, 0);
        let identity = &mut self.identity;
        identity.name = name[..name.len().min(NAME_LEN)].to_vec();
        for ids in [&mut identity.uids, &mut identity.gids] {
            ids.saved = ids.effective;
        }
        for setting in [libc::PR_SET_DUMPABLE, libc::PR_SET_KEEPCAPS] {
            identity.settings.remove(&setting);
        }
    }
}

fn limit(bytes: &[u8; 16]) -> Limit {
    Limit { current: u64_at(bytes, 0), maximum: u64_at(bytes, 8) }
}

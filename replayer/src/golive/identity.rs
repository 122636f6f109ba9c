//! Who the server is: directories, limits, name, credentials, pending signals. All of it is set inside the server.

use std::io;

use common::abi;
use common::kernel::{Ids, PathBytes, Pending, Sent};

use super::{GoLiveError, Revival, SCRATCH_LEN};

const NO_ARGS: [u64; 6] = [0; 6];
const GROUP_LEN: usize = 4;

impl Revival<'_> {
    /// User ids come last: what comes before may need the rights that they take away.
    pub(super) fn become_the_server(&mut self) -> Result<(), GoLiveError> {
        let kernel = self.kernel;
        let identity = kernel.identity();
        self.enter_directories(&identity.root, &identity.cwd)?;
        self.server.run("umask", libc::SYS_umask, [identity.umask.into(), 0, 0, 0, 0, 0])?;
        if !identity.name.is_empty() {
            let address = self.server.text(&identity.name)?;
            self.server.run("prctl(PR_SET_NAME)", libc::SYS_prctl, [libc::PR_SET_NAME as u64, address, 0, 0, 0, 0])?;
        }
        for (&resource, limit) in &identity.limits {
            let address = self.server.bytes(&[limit.current.to_le_bytes(), limit.maximum.to_le_bytes()].concat())?;
            let set = self.server.try_run(libc::SYS_prlimit64, [0, abi::word(resource), address, 0, 0, 0])?;
            self.judge_trait(format!("resource limit {resource}"), set);
        }
        self.lock_memory()?;
        // The tracer decides whether the server can be dumped; the server is only told that it did (PR_SET_DUMPABLE).
        for (&option, &value) in identity.settings.iter().filter(|(option, _)| **option != libc::PR_SET_DUMPABLE) {
            let set = self.server.try_run(libc::SYS_prctl, [abi::word(option), value, 0, 0, 0, 0])?;
            self.judge_trait(format!("the setting of prctl option {option}"), set);
        }
        if identity.sid == identity.pid {
            self.lead(libc::SYS_setsid, "its own session")?;
        } else if identity.pgrp == identity.pid {
            self.lead(libc::SYS_setpgid, "its own process group")?;
        }
        self.take_credentials(identity.uids, identity.gids, &identity.groups)
    }

    /// A process that leads its group already is refused, and is what it should be.
    fn lead(&mut self, number: i64, what: &str) -> Result<(), GoLiveError> {
        let set = self.server.try_run(number, NO_ARGS)?;
        let known = matches!(&set, Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
        if !known {
            self.judge_trait(what, set);
        }
        Ok(())
    }

    fn enter_directories(&mut self, root: &PathBytes, cwd: &PathBytes) -> Result<(), GoLiveError> {
        if root.0 != b"/" {
            // Without its root the server would see files that it must not see.
            let address = self.server.text(&root.0)?;
            self.server.run("chroot", libc::SYS_chroot, [address, 0, 0, 0, 0, 0])?;
        }
        let within = if root.0 == b"/" { Some(cwd.0.as_slice()) } else { cwd.0.strip_prefix(root.0.as_slice()) };
        let inside = match within {
            Some([]) => b"/",
            Some(path) => path,
            None => {
                self.lose_trait(cwd.to_string(), "the working directory lies outside of the root: it is the root now");
                b"/"
            }
        };
        let address = self.server.text(inside)?;
        let entered = self.server.try_run(libc::SYS_chdir, [address, 0, 0, 0, 0, 0])?;
        self.judge_trait(format!("the working directory {cwd}"), entered);
        Ok(())
    }

    /// What the server has locked in memory, with the limit that it has set and the rights that it still has.
    fn lock_memory(&mut self) -> Result<(), GoLiveError> {
        let locks = self.kernel.memory_locks();
        let areas = if locks.ranges().next().is_some() { self.server.target.areas()? } else { Vec::new() };
        let mut failed: Option<(u64, io::Error)> = None;
        for (start, end, on_fault) in locks.ranges() {
            for (from, to) in areas.iter().map(|&(from, to)| (from.max(start), to.min(end))) {
                if from >= to {
                    continue;
                }
                let on_touch = u64::from(libc::MLOCK_ONFAULT);
                let mut lock = |flags| self.server.try_run(libc::SYS_mlock2, [from, to - from, flags, 0, 0, 0]);
                let locked = match lock(if on_fault { on_touch } else { 0 })? {
                    // What may not be touched cannot be brought in. mlockall(2) locks it all the same.
                    Err(_) => lock(on_touch)?,
                    locked => locked,
                };
                if let Err(error) = locked {
                    let bytes = failed.map_or(0, |(bytes, _)| bytes) + (to - from);
                    failed = Some((bytes, error));
                }
            }
        }
        if let Some((bytes, error)) = failed {
            self.lose_trait(format!("{bytes} bytes of locked memory"), format!("can be paged out: {error}"));
        }
        if locks.future() != 0 {
            let set = self.server.try_run(libc::SYS_mlockall, [abi::word(locks.future()), 0, 0, 0, 0, 0])?;
            self.judge_trait("that new memory is locked (mlockall)", set);
        }
        Ok(())
    }

    fn take_credentials(&mut self, uids: Ids, gids: Ids, groups: &[u32]) -> Result<(), GoLiveError> {
        let user = self.server.run("geteuid", libc::SYS_geteuid, NO_ARGS)?;
        if user != 0 {
            let group = self.server.run("getegid", libc::SYS_getegid, NO_ARGS)?;
            if (user, group) != (uids.effective.into(), gids.effective.into()) {
                let why = format!("cannot be taken without root: it runs as user {user} and group {group} now");
                self.lose_trait(format!("user {} and group {}", uids.effective, gids.effective), why);
            }
            return Ok(());
        }
        let list: Vec<u8> = groups.iter().take(SCRATCH_LEN / GROUP_LEN).flat_map(|group| group.to_le_bytes()).collect();
        let address = self.server.bytes(&list)?;
        let count = (list.len() / GROUP_LEN) as u64;
        let steps = [
            ("setgroups", libc::SYS_setgroups, [count, address, 0, 0, 0, 0]),
            ("setresgid", libc::SYS_setresgid, three(gids)),
            ("setresuid", libc::SYS_setresuid, three(uids)),
        ];
        for (name, number, args) in steps {
            let set = self.server.try_run(number, args)?;
            if uids.effective == 0 {
                self.judge_trait(format!("what {name} had set"), set);
            } else {
                // A server that has given up its rights must not go on with them.
                set.map_err(|source| GoLiveError::Refused { call: name, source })?;
            }
        }
        Ok(())
    }

    /// Signals that the server has sent to itself and not taken are sent again.
    pub(super) fn raise_pending_signals(&mut self) -> Result<(), GoLiveError> {
        let waiting = self.kernel.signals().pending();
        if waiting.is_empty() {
            return Ok(());
        }
        let own = self.server.run("getpid", libc::SYS_getpid, NO_ARGS)?;
        for Pending { signal, sent } in waiting {
            let signal = abi::word(*signal);
            let (name, number, args) = match sent {
                Sent::ToProcess => ("kill", libc::SYS_kill, [own, signal, 0, 0, 0, 0]),
                Sent::ToThread => ("tgkill", libc::SYS_tgkill, [own, own, signal, 0, 0, 0]),
                Sent::Queued(info) => {
                    let info = self.server.bytes(info)?;
                    ("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, [own, signal, info, 0, 0, 0])
                }
                Sent::QueuedToThread(info) => {
                    let info = self.server.bytes(info)?;
                    ("rt_tgsigqueueinfo", libc::SYS_rt_tgsigqueueinfo, [own, own, signal, info, 0, 0])
                }
            };
            self.server.run(name, number, args)?;
        }
        Ok(())
    }

    fn judge_trait(&mut self, what: impl Into<String>, result: io::Result<u64>) {
        if let Err(error) = result {
            self.lose_trait(what, format!("could not be set: {error}"));
        }
    }
}

fn three(ids: Ids) -> [u64; 6] {
    [ids.real.into(), ids.effective.into(), ids.saved.into(), 0, 0, 0]
}

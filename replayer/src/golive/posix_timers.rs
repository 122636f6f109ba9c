//! POSIX timers (timer_create(2)), each with its own id and what is left of it. They are made inside the server.

use std::io;

use common::abi;
use common::kernel::{PosixTimer, Setting};

use super::{GoLiveError, Revival};

/// PR_TIMER_CREATE_RESTORE_IDS (linux/prctl.h, since Linux 6.15): timer_create takes the id that it finds.
const RESTORE_IDS: [u64; 6] = [77, 1, 0, 0, 0, 0];
const CHOOSE_IDS: [u64; 6] = [77, 0, 0, 0, 0, 0];
/// How many timers are made and deleted again where the kernel counts the ids.
const MOST_SKIPPED: i32 = 10_000;
const SIGEVENT_LEN: usize = 64;
const NANOS: u64 = 1_000_000_000;

impl Revival<'_> {
    pub(super) fn make_posix_timers(&mut self) -> Result<(), GoLiveError> {
        let kernel = self.kernel;
        if kernel.posix_timers().iter().next().is_none() {
            return Ok(());
        }
        let own = self.server.run("getpid", libc::SYS_getpid, [0; 6])?;
        let chosen = self.server.try_run(libc::SYS_prctl, RESTORE_IDS)?.is_ok();
        // The id that a kernel gives which counts them.
        let mut next = 0;
        for (id, timer) in kernel.posix_timers().iter() {
            let event = sigevent(timer, abi::int(own));
            let made = if chosen {
                self.create(timer.clock, &event, id)?
            } else {
                self.create_by_counting(timer.clock, &event, id, &mut next)?
            };
            let set = match (made, timer.setting) {
                (Ok(()), Some(setting)) => self.arm(id, timer, &setting)?,
                (made, _) => made,
            };
            if let Err(error) = set {
                self.lose_trait(format!("POSIX timer {id}"), format!("does not run any more: {error}"));
            }
        }
        if chosen {
            self.server.run("prctl(PR_TIMER_CREATE_RESTORE_IDS)", libc::SYS_prctl, CHOOSE_IDS)?;
        }
        Ok(())
    }

    fn create(&mut self, clock: i32, event: &[u8], id: i32) -> Result<io::Result<()>, GoLiveError> {
        let at = self.server.bytes(&[event, &id.to_le_bytes()].concat())?;
        let args = [abi::word(clock), at, at + SIGEVENT_LEN as u64, 0, 0, 0];
        Ok(self.server.try_run(libc::SYS_timer_create, args)?.map(drop))
    }

    /// Makes timers until one has the id. That of a new process are 0, 1, 2 ... (kernel/time/posix-timers.c).
    fn create_by_counting(
        &mut self,
        clock: i32,
        event: &[u8],
        id: i32,
        next: &mut i32,
    ) -> Result<io::Result<()>, GoLiveError> {
        if id > MOST_SKIPPED {
            return Ok(Err(io::Error::other("its id is too high for a kernel that counts them (before Linux 6.15)")));
        }
        while *next <= id {
            if let Err(error) = self.create(clock, event, id)? {
                return Ok(Err(error));
            }
            let made = *next;
            *next += 1;
            let at = self.server.bytes(&[0; 32])?;
            let (call, args) = if made == id {
                (libc::SYS_timer_gettime, [abi::word(id), at, 0, 0, 0, 0])
            } else {
                (libc::SYS_timer_delete, [abi::word(made), 0, 0, 0, 0, 0])
            };
            if self.server.try_run(call, args)?.is_err() {
                // What was made has an id that nobody knows. It is not set, and does no harm.
                return Ok(Err(io::Error::other("the kernel gives other ids to timers")));
            }
        }
        Ok(Ok(()))
    }

    fn arm(&mut self, id: i32, timer: &PosixTimer, setting: &Setting) -> Result<io::Result<()>, GoLiveError> {
        let (absolute, value) = self.first_expiry(timer.clock, setting);
        let fields = [setting.interval_ns, value].map(|ns| [ns / NANOS, ns % NANOS]);
        let spec: Vec<u8> = fields.iter().flatten().flat_map(|field| field.to_le_bytes()).collect();
        let at = self.server.bytes(&spec)?;
        let flags = if absolute { libc::TIMER_ABSTIME } else { 0 };
        let args = [abi::word(id), abi::word(flags), at, 0, 0, 0];
        Ok(self.server.try_run(libc::SYS_timer_settime, args)?.map(drop))
    }
}

/// struct sigevent: value (8), signal (4), how to notify (4), thread (4).
fn sigevent(timer: &PosixTimer, own: i32) -> [u8; SIGEVENT_LEN] {
    let (value, words) = match timer.notice {
        None => (0, [0, libc::SIGEV_NONE, 0]),
        Some(notice) if notice.thread => (notice.value, [notice.signal, libc::SIGEV_THREAD_ID, own]),
        Some(notice) => (notice.value, [notice.signal, libc::SIGEV_SIGNAL, 0]),
    };
    let mut event = [0; SIGEVENT_LEN];
    event[..8].copy_from_slice(&value.to_le_bytes());
    for (word, field) in words.iter().zip(event[8..].chunks_exact_mut(4)) {
        field.copy_from_slice(&word.to_le_bytes());
    }
    event
}

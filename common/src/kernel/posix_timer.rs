//! POSIX timers of the process (timer_create(2)).
//!
//! A replica makes none of them: ids and results come from the log. Of a timer is kept what it was made for, what it is set
//! to, and the expiries that the server was told of: its signals say how many they stand for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::{Call, ModelError, i32_at, u64_at};
use super::timer::{Setting, timespec_ns};

/// si_code of a timer's signal.
const SI_TIMER: i32 = -2;
/// Kinds of clock ids that name a process or thread (include/uapi/linux/time.h, kernel/time/posix-cpu-timers.c).
const CPUCLOCK_SCHED: i32 = 2;
const CPUCLOCK_KIND: i32 = 3;
const CPUCLOCK_PERTHREAD: i32 = 4;

/// A timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PosixTimer {
    /// CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID or CLOCK_THREAD_CPUTIME_ID.
    pub clock: i32,
    /// Its signal; `None` for SIGEV_NONE.
    pub notice: Option<Notice>,
    /// What it is set to, while it runs.
    pub setting: Option<Setting>,
    /// What timer_getoverrun(2) says: expiries beyond the first that the last signal taken stood for.
    pub overrun: i32,
}

/// The signal of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its number.
    pub signal: i32,
    /// si_value.
    pub value: u64,
    /// Whether it goes to the thread (SIGEV_THREAD_ID), not to the process.
    pub thread: bool,
}

/// The timers by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PosixTimers(BTreeMap<i32, PosixTimer>);

/// What a siginfo says of where a signal came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// si_code.
    pub code: i32,
    timer: i32,
    overrun: i32,
}

impl Origin {
    /// From a siginfo_t; `None` where that is cut short.
    #[must_use]
    pub fn of_siginfo(info: &[u8]) -> Option<Self> {
        info.get(..24).map(|info| Self { code: i32_at(info, 8), timer: i32_at(info, 16), overrun: i32_at(info, 20) })
    }

    /// From a struct signalfd_siginfo.
    pub(super) fn of_signalfd(info: &[u8]) -> Self {
        Self { code: i32_at(info, 8), timer: i32_at(info, 24), overrun: i32_at(info, 32) }
    }

    /// The timer that sent it and the expiries beyond the first that it stands for.
    #[must_use]
    pub fn timer(&self) -> Option<(i32, i32)> {
        (self.code == SI_TIMER).then_some((self.timer, self.overrun))
    }
}

/// The clock of a timer as [`PosixTimer::clock`] names it, for the process `own`; `None` for one that timers are not carried
/// over with.
#[must_use]
pub fn timer_clock(clock: i32, own: i32) -> Option<i32> {
    match clock {
        libc::CLOCK_REALTIME
        | libc::CLOCK_MONOTONIC
        | libc::CLOCK_BOOTTIME
        | libc::CLOCK_PROCESS_CPUTIME_ID
        | libc::CLOCK_THREAD_CPUTIME_ID => Some(clock),
        // What clock_getcpuclockid(3) and pthread_getcpuclockid(3) give.
        ..0 if clock & CPUCLOCK_KIND == CPUCLOCK_SCHED && [0, own].contains(&!(clock >> 3)) => {
            let thread = clock & CPUCLOCK_PERTHREAD != 0;
            Some(if thread { libc::CLOCK_THREAD_CPUTIME_ID } else { libc::CLOCK_PROCESS_CPUTIME_ID })
        }
        _ => None,
    }
}

impl PosixTimers {
    /// One of them.
    #[must_use]
    pub fn get(&self, id: i32) -> Option<&PosixTimer> {
        self.0.get(&id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &PosixTimer)> + '_ {
        self.0.iter().map(|(&id, timer)| (id, timer))
    }

    /// Those that run and raise this signal.
    fn raising(&mut self, signal: i32) -> impl Iterator<Item = &mut PosixTimer> + '_ {
        self.0
            .values_mut()
            .filter(move |timer| timer.setting.is_some() && timer.notice.is_some_and(|notice| notice.signal == signal))
    }

    /// Whether a signal that waits may be a timer's.
    pub(super) fn may_raise(&mut self, signal: i32) -> bool {
        self.raising(signal).next().is_some()
    }

    /// A signal was taken. Where nobody knows from where it came, it is the timer's that raises it, if there is only one.
    pub(super) fn expired(&mut self, signal: i32, origin: Option<Origin>) {
        let (timer, overrun) = match origin.map(|origin| origin.timer()) {
            Some(None) => return,
            Some(Some((id, overrun))) => (self.0.get_mut(&id), overrun.max(0)),
            None => {
                let mut raising = self.raising(signal);
                (raising.next().filter(|_| raising.next().is_none()), 0)
            }
        };
        let Some(timer) = timer.filter(|timer| timer.notice.is_some_and(|notice| notice.signal == signal)) else {
            return;
        };
        timer.overrun = overrun;
        if timer.setting.as_mut().is_some_and(|setting| !setting.take(u64::from(overrun.cast_unsigned()) + 1)) {
            timer.setting = None;
        }
    }

    /// execve(2): they are gone.
    pub(super) fn exec(&mut self) {
        self.0.clear();
    }

    /// The first rule that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        let sound = |id: i32, timer: &PosixTimer| {
            id >= 0
                && timer.overrun >= 0
                && timer_clock(timer.clock, 0) == Some(timer.clock)
                && timer.notice.is_none_or(|notice| is_signal(notice.signal))
        };
        match self.0.iter().find(|&(&id, timer)| !sound(id, timer)) {
            Some((id, timer)) => Err(format!("timer {id} cannot be: {timer:?}")),
            None => Ok(()),
        }
    }

    fn known(&mut self, call: &Call<'_>) -> Result<&mut PosixTimer, ModelError> {
        let id = call.int(0);
        self.0.get_mut(&id).ok_or_else(|| call.inconsistent("the id of a timer", id))
    }
}

fn is_signal(number: i32) -> bool {
    (1..=64).contains(&number)
}

impl Kernel {
    pub(super) fn timer_create(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let id = i32::from_le_bytes(call.output_array(2)?);
        if id < 0 {
            return Err(call.inconsistent("the id of a timer", id));
        }
        let own = self.identity.tid;
        let clock = timer_clock(call.int(0), own)
            .ok_or_else(|| call.unsupported(format_args!("a timer of clock {}", call.int(0))))?;
        let notice = if call.arg(1) == 0 {
            Some(Notice { signal: libc::SIGALRM, value: u64::from(id.cast_unsigned()), thread: false })
        } else {
            let event = call.input_array::<64>(1)?;
            let (signal, thread) = (i32_at(&event, 8), i32_at(&event, 16));
            let notice = |thread| Some(Notice { signal, value: u64_at(&event, 0), thread });
            match i32_at(&event, 12) {
                libc::SIGEV_NONE => None,
                // The kernel takes the two for the same: the thread is the C library's.
                libc::SIGEV_SIGNAL | libc::SIGEV_THREAD => notice(false),
                libc::SIGEV_THREAD_ID if thread == own => notice(true),
                libc::SIGEV_THREAD_ID => {
                    return Err(call.unsupported(format_args!("a timer of another thread ({thread})")));
                }
                notify => return Err(call.unsupported(format_args!("a timer that tells by {notify}"))),
            }
        };
        if let Some(notice) = notice.filter(|notice| !is_signal(notice.signal)) {
            return Err(call.inconsistent("a signal", notice.signal));
        }
        // One that was lost at a failover has left its id to the next.
        self.posix_timers.0.insert(id, PosixTimer { clock, notice, setting: None, overrun: 0 });
        Ok(())
    }

    pub(super) fn timer_settime(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let spec = call.input_array::<32>(2)?;
        let set_at_ns = self.clock_of(call)?;
        let timer = self.posix_timers.known(call)?;
        let (value_ns, interval_ns) = (timespec_ns(&spec, 16), timespec_ns(&spec, 0));
        let absolute = call.int(1) & libc::TIMER_ABSTIME != 0;
        timer.setting = (value_ns > 0).then_some(Setting { value_ns, interval_ns, absolute, set_at_ns, taken: 0 });
        timer.overrun = 0;
        Ok(())
    }

    pub(super) fn timer_delete(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        self.posix_timers.known(call)?;
        self.posix_timers.0.remove(&call.int(0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_the_process_has_several_names() {
        let named = |pid: i32, bits: i32| !pid << 3 | bits;
        assert_eq!(timer_clock(named(100, 2), 100), Some(libc::CLOCK_PROCESS_CPUTIME_ID));
        assert_eq!(timer_clock(named(0, 6), 100), Some(libc::CLOCK_THREAD_CPUTIME_ID));
        assert_eq!(timer_clock(libc::CLOCK_BOOTTIME, 100), Some(libc::CLOCK_BOOTTIME));
        for other in [named(101, 2), named(100, 0), named(3, 3), libc::CLOCK_TAI, libc::CLOCK_REALTIME_ALARM, 4711] {
            assert_eq!(timer_clock(other, 100), None, "{other}");
        }
    }
}

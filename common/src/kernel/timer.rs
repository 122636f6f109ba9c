//! Timers: interval timers of the process (setitimer(2), alarm(2)) and the arithmetic they share with timerfds.
//!
//! A timer is what was set and when, on the primary's CLOCK_MONOTONIC; what is left of it follows from the present time, so
//! that nothing needs to be recorded as time passes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::{Call, ModelError, u64_at};

/// Clocks that never go back.
const NEVER_BACK: [i32; 6] = [
    libc::CLOCK_MONOTONIC,
    libc::CLOCK_MONOTONIC_COARSE,
    libc::CLOCK_MONOTONIC_RAW,
    libc::CLOCK_BOOTTIME,
    libc::CLOCK_PROCESS_CPUTIME_ID,
    libc::CLOCK_THREAD_CPUTIME_ID,
];
const NANOS: u64 = 1_000_000_000;

/// A timer that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Time to the first expiry in nanoseconds, or its date on the timer's clock when `absolute`.
    pub value_ns: u64,
    /// Time between expiries in nanoseconds; 0 for a single one.
    pub interval_ns: u64,
    /// Whether `value_ns` is a date.
    pub absolute: bool,
    /// The primary's CLOCK_MONOTONIC when it was set, in nanoseconds.
    pub set_at_ns: u64,
    /// Expiries that the server has been told of.
    pub taken: u64,
}

impl Setting {
    /// Nanoseconds until the first expiry that the server has not been told of, at least 1. `now_ns` is the timer's own
    /// clock for a date, CLOCK_MONOTONIC otherwise; both as the server sees them.
    #[must_use]
    pub fn left_ns(&self, now_ns: u64) -> u64 {
        self.next_ns().saturating_sub(now_ns).max(1)
    }

    /// When the first expiry is that the server has not been told of, in nanoseconds: on the timer's own clock for a date, on
    /// CLOCK_MONOTONIC otherwise; both as the server sees them.
    #[must_use]
    pub fn next_ns(&self) -> u64 {
        let first = if self.absolute { self.value_ns } else { self.set_at_ns.saturating_add(self.value_ns) };
        first.saturating_add(self.interval_ns.saturating_mul(self.taken))
    }

    /// The server has been told of `expiries` more. Whether the timer still runs.
    pub(super) fn take(&mut self, expiries: u64) -> bool {
        self.taken = self.taken.saturating_add(expiries);
        self.interval_ns > 0 || self.taken == 0
    }
}

/// Nanoseconds of a struct timespec.
pub(super) fn timespec_ns(bytes: &[u8], at: usize) -> u64 {
    u64_at(bytes, at).saturating_mul(NANOS).saturating_add(u64_at(bytes, at + 8))
}

fn timeval_ns(bytes: &[u8], at: usize) -> u64 {
    u64_at(bytes, at).saturating_mul(NANOS).saturating_add(u64_at(bytes, at + 8).saturating_mul(1000))
}

/// The signal of an interval timer.
#[must_use]
pub fn timer_signal(which: i32) -> i32 {
    match which {
        libc::ITIMER_VIRTUAL => libc::SIGVTALRM,
        libc::ITIMER_PROF => libc::SIGPROF,
        _ => libc::SIGALRM,
    }
}

/// The interval timers that run, by ITIMER_REAL (0), ITIMER_VIRTUAL (1), ITIMER_PROF (2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IntervalTimers(BTreeMap<i32, Setting>);

impl IntervalTimers {
    /// One of them, if it runs.
    #[must_use]
    pub fn get(&self, which: i32) -> Option<Setting> {
        self.0.get(&which).copied()
    }

    /// Those that run.
    pub fn iter(&self) -> impl Iterator<Item = (i32, Setting)> + '_ {
        self.0.iter().map(|(&which, &setting)| (which, setting))
    }

    fn set(&mut self, which: i32, value_ns: u64, interval_ns: u64, set_at_ns: u64) {
        if value_ns == 0 {
            self.0.remove(&which);
        } else {
            self.0.insert(which, Setting { value_ns, interval_ns, absolute: false, set_at_ns, taken: 0 });
        }
    }

    /// A timer's signal was delivered.
    pub(super) fn expired(&mut self, signal: i32) {
        let which = match signal {
            libc::SIGALRM => libc::ITIMER_REAL,
            libc::SIGVTALRM => libc::ITIMER_VIRTUAL,
            libc::SIGPROF => libc::ITIMER_PROF,
            _ => return,
        };
        if let Some(setting) = self.0.get_mut(&which)
            && !setting.take(1)
        {
            self.0.remove(&which);
        }
    }
}

impl Kernel {
    pub(super) fn setitimer(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        // A null pointer disarms, as the kernel has always done.
        let bytes = if call.arg(1) == 0 { [0; 32] } else { call.input_array::<32>(1)? };
        let now = self.clock_of(call)?;
        self.note_expiry(call, call.int(0));
        self.timers.set(call.int(0), timeval_ns(&bytes, 16), timeval_ns(&bytes, 0), now);
        Ok(())
    }

    pub(super) fn alarm(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let now = self.clock_of(call)?;
        let seconds = u64::from(call.uint(0));
        self.note_expiry(call, libc::ITIMER_REAL);
        self.timers.set(libc::ITIMER_REAL, seconds.saturating_mul(NANOS), 0, now);
        Ok(())
    }

    /// Where the record tells it, the signal of the timer that was set before waits.
    fn note_expiry(&mut self, call: &Call<'_>, which: i32) {
        if call.tells_of_a_signal() {
            self.signals.waits(timer_signal(which));
        }
    }

    /// The clock in the record of a call that sets a timer; the model remembers it as seen.
    pub(super) fn clock_of(&mut self, call: &Call<'_>) -> Result<u64, ModelError> {
        let now = call.clock()?;
        self.saw_monotonic(now);
        Ok(now)
    }

    pub(super) fn saw_monotonic(&mut self, now_ns: u64) {
        self.monotonic_ns = self.monotonic_ns.max(now_ns);
    }

    pub(super) fn clock_gettime(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let clock = call.int(0);
        if NEVER_BACK.contains(&clock) {
            let now = timespec_ns(&call.output_array::<16>(1)?, 0);
            let seen = self.clocks.entry(clock).or_default();
            *seen = now.max(*seen);
            if matches!(clock, libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_COARSE) {
                self.saw_monotonic(now);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(value_ns: u64, interval_ns: u64, absolute: bool) -> Setting {
        Setting { value_ns, interval_ns, absolute, set_at_ns: 1000, taken: 0 }
    }

    #[test]
    fn what_is_left_is_never_nothing() {
        assert_eq!(setting(500, 0, false).left_ns(1200), 300);
        assert_eq!(setting(500, 0, false).left_ns(9000), 1);
        assert_eq!(setting(1500, 0, true).left_ns(1200), 300);
    }

    #[test]
    fn a_periodic_timer_keeps_its_phase() {
        let mut periodic = setting(500, 100, false);
        assert!(periodic.take(3));
        assert_eq!(periodic.left_ns(1750), 50);
        let mut single = setting(500, 0, false);
        assert!(!single.take(1));
    }
}

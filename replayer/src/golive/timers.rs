//! Timers, with what is left of them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use common::abi;
use common::kernel::{DescriptionId, Setting, TimerFd, timer_signal};
use tracer::clock::now_ns;

use super::{GoLiveError, Revival, made, sys};

const NANOS_PER_MICRO: u64 = 1000;
const MICROS: u64 = 1_000_000;

/// Clocks whose dates mean the same on every machine: a timer set to a date keeps it.
fn is_calendar(clock: i32) -> bool {
    matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_ALARM | libc::CLOCK_TAI)
}

/// Clocks of what the process uses of the processor.
pub(super) fn is_cpu(clock: i32) -> bool {
    matches!(clock, libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID)
}

impl Revival<'_> {
    pub(super) fn timerfd(&mut self, id: DescriptionId, timer: &TimerFd) -> Result<OwnedFd, GoLiveError> {
        // The alarm clocks need a capability that the new machine may not give.
        let fd = match sys::timerfd(timer.clock) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.lose(id, "a timerfd", format!("does not wake the machine any more: {error}"));
                let plain = if is_calendar(timer.clock) { libc::CLOCK_REALTIME } else { libc::CLOCK_BOOTTIME };
                sys::timerfd(plain)
            }
            other => other,
        };
        let fd = fd.map_err(made("a timerfd"))?;
        if let Some(setting) = timer.setting {
            let (absolute, value) = self.first_expiry(timer.clock, &setting);
            sys::set_timer(fd.as_fd(), absolute, value, setting.interval_ns).map_err(made("a running timerfd"))?;
        }
        Ok(fd)
    }

    /// The date on this machine's clock of the first expiry that the server has not been told of. It may have passed: the
    /// kernel then counts the expiries since, and goes on at the same dates. `None` where a date would mean something else
    /// than the time that is left: when somebody sets the calendar.
    pub(super) fn date(&self, clock: i32, setting: &Setting) -> Option<u64> {
        let ahead = match (is_calendar(clock), setting.absolute) {
            (true, true) => return Some(setting.next_ns()),
            (true, false) => return None,
            (false, true) => self.ahead(clock),
            // It was set on the server's CLOCK_MONOTONIC.
            (false, false) => {
                // Read in this order, the date is not early.
                let server = self.now_ns();
                i64::try_from(i128::from(server) - i128::from(now_ns(clock))).unwrap_or(self.clock.offset_ns)
            }
        };
        Some(setting.next_ns().saturating_add_signed(ahead.saturating_neg()).max(1))
    }

    /// The server's CLOCK_MONOTONIC at this moment, in nanoseconds.
    pub(super) fn now_ns(&self) -> u64 {
        now_ns(libc::CLOCK_MONOTONIC).saturating_add_signed(self.clock.offset_ns)
    }

    /// Nanoseconds that the server's clock is ahead of this machine's, as the recorder will say from now on.
    fn ahead(&self, clock: i32) -> i64 {
        let seen = tracer::recorder::clock_offsets(self.kernel, self.clock.offset_ns);
        seen.get(&clock).copied().unwrap_or(if is_cpu(clock) { 0 } else { self.clock.offset_ns })
    }

    /// The first expiry that the server has not been told of: whether it is a date, and the date or the time until then. A date
    /// that has passed makes the kernel count the expiries since.
    pub(super) fn first_expiry(&self, clock: i32, setting: &Setting) -> (bool, u64) {
        if is_cpu(clock) && !setting.absolute {
            // What the primary spent since it was set is not known.
            return (false, if setting.taken > 0 { setting.interval_ns } else { setting.value_ns });
        }
        match self.date(clock, setting) {
            Some(date) => (true, date),
            None => {
                let now = self.now_ns();
                match setting.next_ns().checked_sub(now) {
                    Some(left) if left > 0 => (false, left),
                    // Only a past date is counted from.
                    _ => (true, now_ns(clock).saturating_sub(now.saturating_sub(setting.next_ns())).max(1)),
                }
            }
        }
    }

    /// setitimer(2) inside the server. Timers that count processor time begin anew: what the primary spent is not known. One that
    /// is overdue expires at once and goes on at its own times.
    pub(super) fn start_interval_timers(&mut self) -> Result<(), GoLiveError> {
        for (which, setting) in self.kernel.timers().iter() {
            let real = which == libc::ITIMER_REAL;
            let overdue = self.now_ns().checked_sub(setting.next_ns()).filter(|_| real);
            let left_ns = match overdue {
                Some(late) if setting.interval_ns > 0 => {
                    self.raise_from_kernel(timer_signal(which))?;
                    setting.interval_ns - late % setting.interval_ns
                }
                _ if real => setting.left_ns(self.now_ns()),
                _ => setting.value_ns,
            };
            let left = left_ns.div_ceil(NANOS_PER_MICRO);
            let interval = setting.interval_ns / NANOS_PER_MICRO;
            let fields = [interval / MICROS, interval % MICROS, left / MICROS, left % MICROS];
            let spec: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
            let address = self.server.bytes(&spec)?;
            self.server.run("setitimer", libc::SYS_setitimer, [abi::word(which), address, 0, 0, 0, 0])?;
        }
        Ok(())
    }
}

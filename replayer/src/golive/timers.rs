//! Timers, with what is left of them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use common::kernel::{DescriptionId, Setting, TimerFd};

use super::{GoLiveError, Revival, made, sys};

const NANOS_PER_MICRO: u64 = 1000;
const MICROS: u64 = 1_000_000;

/// Clocks whose dates mean the same on every machine: a timer set to a date keeps it.
fn is_calendar(clock: i32) -> bool {
    matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_ALARM | libc::CLOCK_TAI)
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
            let set = match setting {
                Setting { absolute: true, value_ns, interval_ns, taken, .. } if is_calendar(timer.clock) => {
                    let next = value_ns.saturating_add(interval_ns.saturating_mul(taken));
                    sys::set_timer(fd.as_fd(), true, next, interval_ns)
                }
                _ => sys::set_timer(fd.as_fd(), false, setting.left_ns(self.now_ns), setting.interval_ns),
            };
            set.map_err(made("a running timerfd"))?;
        }
        Ok(fd)
    }

    /// setitimer(2) inside the server. Timers that count processor time begin anew: what the primary spent is not known.
    pub(super) fn start_interval_timers(&mut self) -> Result<(), GoLiveError> {
        for (which, setting) in self.kernel.timers().iter() {
            let left_ns = if which == libc::ITIMER_REAL { setting.left_ns(self.now_ns) } else { setting.value_ns };
            let left = left_ns.div_ceil(NANOS_PER_MICRO);
            let interval = setting.interval_ns / NANOS_PER_MICRO;
            let fields = [interval / MICROS, interval % MICROS, left / MICROS, left % MICROS];
            let spec: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
            let address = self.server.bytes(&spec)?;
            self.server.run("setitimer", libc::SYS_setitimer, [which as u64, address, 0, 0, 0, 0])?;
        }
        Ok(())
    }
}

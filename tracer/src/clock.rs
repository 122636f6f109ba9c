//! The clocks of this machine, as numbers.

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

/// What a clock (clock_gettime(2)) says, in nanoseconds; 0 for a clock that is not there or stands before its zero.
#[must_use]
pub fn now_ns(clock: i32) -> u64 {
    clock_gettime(ClockId::from_raw(clock)).map_or(0, |now| u64::try_from(now.num_nanoseconds()).unwrap_or(0))
}

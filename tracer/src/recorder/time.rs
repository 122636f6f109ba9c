//! Clocks on the recording side: after a failover to another machine the server's monotonic time goes on where it stood.

use std::collections::BTreeMap;

use common::abi;
use common::kernel::{Kernel, Object, bit, kernel_info, timer_signal};
use common::record::SegmentRole;
use common::syscall::{Direction, Length, Memory, Shape, nr};

use super::signal::pending_for_process;
use super::{InCall, Recorder, RecordingError, meta};
use crate::clock::now_ns;
use crate::inject;
use crate::tracee::{Registers, Stopped};

impl Recorder<'_> {
    /// When a timer was set: what is left of it is counted from there.
    pub(super) fn note_time(&self, flow: &mut InCall) {
        flow.extra.push(meta(SegmentRole::Clock, self.monotonic_now().to_le_bytes().to_vec()));
    }

    /// The signal of an interval timer that is set anew may wait behind the mask: that it does is not to be learnt elsewhere.
    pub(super) fn note_expiry(&self, pid: i32, flow: &mut InCall) {
        let which = match flow.shape.number {
            nr::ALARM => libc::ITIMER_REAL,
            nr::SETITIMER => abi::int(flow.call.args[0]),
            _ => return,
        };
        let (kernel, signal) = (self.kernel(), timer_signal(which));
        if kernel.timers().get(which).is_some()
            && kernel.mask() & bit(signal) != 0
            && pending_for_process(pid) & bit(signal) != 0
        {
            flow.extra.push(meta(SegmentRole::SigInfo, kernel_info(signal)));
        }
    }

    pub(super) fn monotonic_now(&self) -> u64 {
        now_ns(libc::CLOCK_MONOTONIC).wrapping_add_signed(self.clock_offset)
    }

    /// Monotonic clocks of another machine go on where the primary's stopped, and so does the processor time spent.
    pub(super) fn shift_clock(&self, stopped: &Stopped, flow: &InCall) -> Result<(), RecordingError> {
        let offset = self.offset_of(abi::int(flow.call.args[0]));
        if offset == 0 {
            return Ok(());
        }
        let address = flow.call.args[1];
        let raw = stopped.bytes(address, 16).map_err(Self::fault(flow.shape))?;
        Ok(stopped.write(address, &shifted(&raw, offset))?)
    }

    /// Nanoseconds that the server's clock is ahead of this machine's.
    pub(super) fn offset_of(&self, clock: i32) -> i64 {
        let usual = if is_monotonic(clock) { self.clock_offset } else { 0 };
        self.clock_offsets.get(&clock).copied().unwrap_or(usual)
    }

    /// A deadline on a clock of the server's, as one of this machine's.
    pub(super) fn real_deadline(
        &self,
        stopped: &Stopped,
        regs: &Registers,
        flow: &InCall,
    ) -> Result<Option<Registers>, RecordingError> {
        let absolute = flow.call.args[1] & 1 != 0;
        let clock = match (flow.shape.number, self.kernel().object(abi::int(flow.call.args[0]))) {
            (nr::CLOCK_NANOSLEEP, _) => abi::int(flow.call.args[0]),
            (nr::TIMER_SETTIME, _) => match self.kernel().posix_timers().get(abi::int(flow.call.args[0])) {
                Some(timer) => timer.clock,
                None => return Ok(None),
            },
            (_, Some(Object::TimerFd(timer))) => timer.clock,
            _ => return Ok(None),
        };
        let Some(input) = flow.gathered.inputs.iter().find(|s| s.arg == 2) else { return Ok(None) };
        let offset = self.offset_of(clock);
        if offset == 0 || !absolute {
            return Ok(None);
        }
        let mut value = input.bytes.clone();
        let at = value.len() - 16;
        if value[at..].iter().any(|&b| b != 0) {
            let moved = shifted(&value[at..], -offset);
            value[at..].copy_from_slice(&moved);
        }
        stopped.write(inject::SCRATCH, &value)?;
        let mut regs = *regs;
        regs.rdx = inject::SCRATCH;
        Ok(Some(regs))
    }
}

/// What stands where a call writes the time left when it is interrupted.
pub(super) fn times_left(shape: &Shape, args: &[u64; 6], memory: &dyn Memory) -> Vec<(u64, Vec<u8>)> {
    let pointers = shape.pointers.iter().filter(|p| p.direction == Direction::OutAlways);
    pointers
        .filter_map(|pointer| {
            let address = args[usize::from(pointer.arg)];
            let Length::Fixed(length) = pointer.length else { return None };
            Some((address, memory.bytes(address, length as usize).ok()?))
        })
        .collect()
}

/// For each clock that the server has read: how far it must be ahead of this machine's so that it does not go back. That is
/// `usual` where that is enough.
#[must_use]
pub fn offsets(kernel: &Kernel, usual: i64) -> BTreeMap<i32, i64> {
    let needed = kernel.clocks().map(|(clock, seen)| {
        let usual = if is_monotonic(clock) { usual } else { 0 };
        // The processor time of another process: what this one has spent was spent on the same work.
        let own = if is_monotonic(clock) { now_ns(clock) } else { 0 };
        (clock, usual.max(i64::try_from(i128::from(seen) - i128::from(own)).unwrap_or(usual)))
    });
    needed.collect()
}

fn is_monotonic(clock: i32) -> bool {
    matches!(
        clock,
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_BOOTTIME
    )
}

/// A struct timespec, `nanoseconds` later, not before 0.
fn shifted(raw: &[u8], nanoseconds: i64) -> Vec<u8> {
    let word = |at: usize| raw.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
    if word(0) < 0 || !(0..1_000_000_000).contains(&word(8)) {
        // No time at all: the kernel is to refuse it.
        return raw.to_vec();
    }
    let total = (i128::from(word(0)) * 1_000_000_000 + i128::from(word(8)) + i128::from(nanoseconds)).max(1);
    // Beyond what a timespec holds is forever, for the kernel too.
    let seconds = i64::try_from(total / 1_000_000_000).unwrap_or(i64::MAX);
    let rest = i64::try_from(total % 1_000_000_000).unwrap_or(0);
    [seconds.to_le_bytes(), rest.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(seconds: i64, nanoseconds: i64, by: i64) -> (i64, i64) {
        let raw = shifted(&[seconds.to_le_bytes(), nanoseconds.to_le_bytes()].concat(), by);
        (abi::i64_at(&raw, 0), abi::i64_at(&raw, 8))
    }

    #[test]
    fn a_deadline_moves_with_the_clock() {
        assert_eq!(moved(5, 900_000_000, 200_000_000), (6, 100_000_000));
        assert_eq!(moved(5, 0, -6_000_000_000), (0, 1), "never 0, which would disarm a timer");
    }

    #[test]
    fn what_is_no_time_is_left_to_the_kernel() {
        assert_eq!(moved(0, -1, -6_000_000_000), (0, -1));
        assert_eq!(moved(1, 1_000_000_000, 5), (1, 1_000_000_000));
        assert_eq!(moved(-1, 0, 5), (-1, 0));
    }

    #[test]
    fn forever_stays_forever() {
        assert_eq!(moved(i64::MAX, 0, 7_000_000_000), (i64::MAX, 0));
    }
}

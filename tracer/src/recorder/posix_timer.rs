//! POSIX timers on the recording side.
//!
//! A timer is armed again when the kernel gives its signal away, which is when the signal is taken into keeping here: another
//! one can come before the server has seen the first. The server is to see what it would see without a tracer: at most one
//! signal of a timer that waits, which counts what it missed, and none of a timer that is no more.

use std::collections::VecDeque;

use common::abi;
use common::kernel::{Origin, bit, timer_clock};
use common::syscall::{Memory, Refusal, nr};

use super::signal::{Ran, call_again};
use super::{Before, InCall, Recorder, RecordingError};
use crate::inject::{self, Held, Session};
use crate::signals;
use crate::sys::ptrace::SIGINFO_LEN;
use crate::tracee::{Call, Registers, Stopped};

/// Where a struct sigevent says how to notify, and whom.
const NOTIFY: usize = 12;
const THREAD: usize = 16;
/// Where a siginfo_t counts the expiries that were missed.
const OVERRUN: usize = 20;
/// Clocks of the kernel that have timers of their own (CLOCK_AUX, linux/time.h), besides those that libc names.
const AUXILIARY: std::ops::Range<i32> = 16..24;

/// Whether a kernel may have timers of this clock. It refuses the others itself.
fn has_timers(clock: i32) -> bool {
    clock < 0
        || [libc::CLOCK_REALTIME_ALARM, libc::CLOCK_BOOTTIME_ALARM, libc::CLOCK_TAI].contains(&clock)
        || AUXILIARY.contains(&clock)
}

fn timer_of(held: &Held) -> Option<(i32, i32)> {
    Origin::of_siginfo(&held.info)?.timer()
}

pub(super) fn is_of_timer(held: &Held) -> bool {
    timer_of(held).is_some()
}

/// Signals below SIGRTMIN that wait for the thread: the kernel keeps no second one of them, unless it is a timer's own.
pub(super) fn pending_for_thread(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigPnd:"));
    let queued = (1u64 << (libc::SIGRTMIN() - 1)) - 1;
    line.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).unwrap_or(0) & queued
}

/// Of several signals of one timer the first stays, and stands for the others as well.
pub(super) fn merge(held: &mut VecDeque<Held>) {
    let mut merged: VecDeque<Held> = VecDeque::with_capacity(held.len());
    for one in held.drain(..) {
        let earlier = timer_of(&one).and_then(|(id, overrun)| {
            let mut earlier = merged.iter_mut();
            earlier
                .find(|e| e.signal == one.signal && timer_of(e).is_some_and(|(timer, _)| timer == id))
                .zip(Some(overrun))
        });
        match earlier {
            Some((earlier, overrun)) => {
                let before = abi::i32_at(&earlier.info, OVERRUN);
                let all = before.saturating_add(overrun).saturating_add(1);
                earlier.info[OVERRUN..OVERRUN + 4].copy_from_slice(&all.to_le_bytes());
            }
            None => merged.push_back(one),
        }
    }
    *held = merged;
}

/// The timer that a call sets anew or deletes.
fn set_anew(call: &Call) -> Option<i32> {
    let anew = [nr::TIMER_SETTIME, nr::TIMER_DELETE].map(u64::from).contains(&call.number);
    anew.then(|| abi::int(call.args[0]))
}

impl Recorder<'_> {
    /// What becomes of a call on a timer before it runs.
    pub(super) fn before_timer(
        &mut self,
        stopped: &Stopped,
        regs: &Registers,
        flow: &InCall,
    ) -> Result<Before, RecordingError> {
        match flow.shape.number {
            nr::TIMER_CREATE => self.before_timer_create(stopped, regs, flow),
            nr::TIMER_SETTIME => Ok(Before::Run(self.real_deadline(stopped, regs, flow)?)),
            // The kernel counts for the signal that it gave away last, the server asks for the one that it took last.
            _ => Ok(match self.kernel().posix_timers().get(abi::int(flow.call.args[0])) {
                Some(timer) => Before::Answer(timer.overrun.into()),
                None => Before::Run(None),
            }),
        }
    }

    fn before_timer_create(
        &mut self,
        stopped: &Stopped,
        regs: &Registers,
        flow: &InCall,
    ) -> Result<Before, RecordingError> {
        let (own, asked) = (self.kernel().identity().pid, abi::int(flow.call.args[0]));
        let mut changed = *regs;
        match timer_clock(asked, own) {
            // The process by another name than its own, which may be another one here.
            Some(clock) if clock != asked => changed.rdi = abi::word(clock),
            None if has_timers(asked) => {
                let refusal = Refusal::new(format!("{} of clock {asked}", flow.shape.name), libc::EINVAL);
                return Ok(Before::Answer(-i64::from(self.warn(&refusal))));
            }
            _ => {}
        }
        let event = flow.gathered.inputs.iter().find(|segment| segment.arg == 1);
        if let Some(event) = event.filter(|event| abi::i32_at(&event.bytes, NOTIFY) == libc::SIGEV_THREAD_ID) {
            if abi::i32_at(&event.bytes, THREAD) != own {
                // There is no other thread.
                return Ok(Before::Answer(-i64::from(libc::EINVAL)));
            }
            if stopped.pid() != own {
                let mut bytes = event.bytes.clone();
                bytes[THREAD..THREAD + 4].copy_from_slice(&stopped.pid().to_le_bytes());
                stopped.write(inject::SCRATCH, &bytes)?;
                changed.rsi = inject::SCRATCH;
            }
        }
        let same = [changed.rdi, changed.rsi] == [regs.rdi, regs.rsi];
        Ok(Before::Run((!same).then_some(changed)))
    }

    /// Signals of a timer that is about to be set anew or deleted have not come: the kernel drops those that wait with it.
    pub(super) fn forget_expiries(&mut self, call: &Call) {
        if let Some(id) = set_anew(call) {
            self.held.retain(|held| timer_of(held).is_none_or(|(timer, _)| timer != id));
        }
    }

    /// The same for those that were given back to the kernel and wait behind the mask: it takes them for signals that the server
    /// has sent.
    pub(super) fn take_expiries_back(
        &mut self,
        stopped: Stopped,
        regs: &Registers,
        call: &Call,
    ) -> Result<Ran, RecordingError> {
        let Some(id) = set_anew(call) else { return Ok(Ran::Returned(stopped)) };
        let of_it = |info: &[u8; SIGINFO_LEN]| {
            Origin::of_siginfo(info).and_then(|origin| origin.timer()).is_some_and(|(timer, _)| timer == id)
        };
        let queued = stopped.queued_signals()?;
        let Some(signal) = queued.iter().find(|info| of_it(info)).map(|info| abi::i32_at(&info[..], 0)) else {
            return Ok(Ran::Returned(stopped));
        };
        let mask = stopped.signal_mask()?;
        stopped.set_signal_mask(u64::MAX)?;
        let before = signals::before_call(regs);
        let mut session = Session::begin(stopped, before);
        let mut others = Vec::new();
        // Those of the thread are taken before those of the process.
        for _ in queued.iter().filter(|info| abi::i32_at(&info[..], 0) == signal) {
            // Which signals (8), no time to wait (16), then room for the siginfo.
            let at = session.scratch(&[&bit(signal).to_le_bytes()[..], &[0; 16 + SIGINFO_LEN]].concat())?;
            let (next, taken) = session.call_raw(nr::RT_SIGTIMEDWAIT.into(), [at, at + 24, at + 8, 8, 0, 0])?;
            session = next;
            if taken != i64::from(signal) {
                break;
            }
            let mut info = [0; SIGINFO_LEN];
            // ftrun's own memory can be read as long as the process is there.
            if session.process().read(at + 24, &mut info).is_ok() && !of_it(&info) {
                others.push(Held { signal, info });
            }
        }
        let (stopped, held) = session.end()?;
        self.held.extend(held);
        let (stopped, held) = signals::send_again(stopped, &before, &others)?;
        self.held.extend(held);
        call_again(stopped, mask)
    }

    /// Whether a signal is of a timer that was deleted after it came.
    pub(super) fn is_of_no_timer(&self, held: &Held) -> bool {
        let kernel = self.kernel();
        let sent_by_the_server = || kernel.signals().pending().iter().any(|one| one.signal == held.signal);
        timer_of(held).is_some_and(|(id, _)| kernel.posix_timers().get(id).is_none()) && !sent_by_the_server()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_timer(signal: i32, id: i32, overrun: i32) -> Held {
        let mut info = [0; SIGINFO_LEN];
        for (at, word) in [(0, signal), (8, -2), (16, id), (OVERRUN, overrun)] {
            info[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        Held { signal, info }
    }

    #[test]
    fn the_first_signal_of_a_timer_stands_for_all() {
        let sent = Held { signal: 40, info: [0; SIGINFO_LEN] };
        let mut held: VecDeque<Held> =
            [of_timer(40, 1, 0), sent, of_timer(40, 2, 5), of_timer(40, 1, 3), of_timer(40, 2, i32::MAX)].into();
        merge(&mut held);
        let left: Vec<_> = held.iter().map(timer_of).collect();
        assert_eq!(left, [Some((1, 4)), None, Some((2, i32::MAX))]);
    }
}

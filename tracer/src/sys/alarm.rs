//! A time at which this thread is to stop waiting: a timer whose signal ends waitpid(2) with EINTR.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigEvent, SigHandler, SigSet, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;

/// Ignored where nobody has asked for it, and sent by nothing but out-of-band data.
const SIGNAL: Signal = Signal::SIGURG;
/// A signal that comes just before the wait begins does not end it: it comes again.
const AGAIN: Duration = Duration::from_millis(5);

/// Who says that a process is to be stopped where it is.
pub trait Interrupt {
    /// Asked when the wait begins, and when a signal has ended it.
    fn is_due(&mut self) -> bool;
}

/// Ends the wait of a thread of this process that has made an [`Alarm`].
pub fn wake(thread: i32) {
    // SAFETY: tgkill takes plain numbers; a thread that is gone gets nothing.
    #[expect(unsafe_code, reason = "tgkill")]
    unsafe {
        libc::syscall(libc::SYS_tgkill, std::process::id(), thread, SIGNAL as i32)
    };
}

/// An alarm of the thread that made it.
#[derive(Debug)]
pub struct Alarm {
    timer: Timer,
    due: Option<Instant>,
}

extern "C" fn awake(_: nix::libc::c_int) {}

impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// EAGAIN when the kernel has no timer left.
    pub fn new() -> Result<Self, Errno> {
        // No SA_RESTART: the wait is to end.
        let action = SigAction::new(SigHandler::Handler(awake), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing.
        #[expect(unsafe_code, reason = "a signal handler")]
        unsafe { nix::sys::signal::sigaction(SIGNAL, &action) }?;
        let mut unblocked = SigSet::empty();
        unblocked.add(SIGNAL);
        unblocked.thread_unblock()?;
        let event = SigevNotify::SigevThreadId { signal: SIGNAL, thread_id: gettid().as_raw(), si_value: 0 };
        Ok(Self { timer: Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(event))?, due: None })
    }

    /// Interrupts the waits of this thread from then on.
    ///
    /// # Errors
    /// None that is known of.
    pub fn set(&mut self, due: Instant) -> Result<(), Errno> {
        // Zero would mean never.
        let first = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        self.timer.set(Expiration::IntervalDelayed(first.into(), AGAIN.into()), TimerSetTimeFlags::empty())?;
        self.due = Some(due);
        Ok(())
    }

    /// No interruptions any more.
    ///
    /// # Errors
    /// None that is known of.
    pub fn lift(&mut self) -> Result<(), Errno> {
        if self.due.take().is_some() {
            // A first expiration of zero takes the timer's time away.
            self.timer.set(Expiration::OneShot(Duration::ZERO.into()), TimerSetTimeFlags::empty())?;
        }
        Ok(())
    }

    /// Whether its time has come.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.due.is_some_and(|due| Instant::now() >= due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_a_wait_again_and_again() {
        let mut alarm = Alarm::new().expect("a timer");
        assert!(!alarm.is_due());
        let due = Instant::now() + Duration::from_millis(3);
        alarm.set(due).expect("it can be set");
        for _ in 0..3 {
            // Nothing else ends it.
            nix::unistd::pause();
            assert!(alarm.is_due() && Instant::now() >= due);
        }
        alarm.lift().expect("it can be lifted");
        assert!(!alarm.is_due());
    }
}

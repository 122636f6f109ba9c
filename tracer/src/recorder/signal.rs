//! Signals on the recording side: which are deferred, which are delivered at once.

use common::record::{Placement, Record, Segment, SegmentRole};
use common::syscall::nr;

use super::{InCall, Next, Recorder, RecordingError};
use crate::inject::Held;
use crate::instructions;
use crate::signals;
use crate::sys::ptrace::Resume;
use crate::tracee::{Call, Event, Registers, Stopped, TraceeError};

/// A call has returned and a signal is pending right there.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtExit {
    pub(super) rip: u64,
    pub(super) rsp: u64,
    pub(super) number: u64,
    /// The mask that the call had set for its own duration.
    pub(super) temporary: Option<u64>,
}

/// Whether a signal may be pending at the return of a call, as part of what the call does.
pub(super) fn may_be_pending(number: u16, result: i64) -> bool {
    signals::is_restart(result)
        || result == -i64::from(libc::EINTR)
        || result == -i64::from(libc::EPIPE)
        || matches!(number, nr::KILL | nr::TKILL | nr::TGKILL | nr::RT_SIGPROCMASK | nr::RT_SIGRETURN | nr::SETITIMER)
}

/// Whether an unblocked signal waits for a process that is stopped.
pub(super) fn is_pending(pid: i32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return false };
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| u64::from_str_radix(value.trim(), 16).ok())
            .unwrap_or(0)
    };
    (field("SigPnd:") | field("ShdPnd:")) & !field("SigBlk:") != 0
}

/// The mask that a call sets for its own duration, if it is one of those.
pub(super) fn temporary_mask(inputs: &[Segment], number: u16) -> Option<u64> {
    let arg = match number {
        nr::RT_SIGSUSPEND => 0,
        nr::PPOLL => 3,
        nr::EPOLL_PWAIT | nr::EPOLL_PWAIT2 => 4,
        nr::PSELECT6 => 5,
        _ => return None,
    };
    let mask = inputs.iter().find(|s| s.arg == arg)?;
    // SIGKILL and SIGSTOP cannot be blocked.
    let unblockable = 1u64 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);
    Some(u64::from_le_bytes(mask.bytes.as_slice().try_into().ok()?) & !unblockable)
}

fn is_fault(signal: i32, info: &[u8]) -> bool {
    let code = i32::from_le_bytes([info[8], info[9], info[10], info[11]]);
    let synchronous =
        matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP | libc::SIGSYS);
    synchronous && code > 0
}

fn is_ignored_by_default(signal: i32) -> bool {
    matches!(signal, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT)
}

fn is_job_control(signal: i32) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

impl Recorder<'_> {
    /// A signal is about to be delivered.
    pub(super) fn signal(&mut self, stopped: Stopped, signal: i32) -> Result<Next, RecordingError> {
        let info = stopped.siginfo()?;
        let regs = stopped.registers()?;
        if let Some(trapped) = instructions::trapped(&stopped, &regs, signal, &info, &self.sites) {
            let record = instructions::answer(trapped, &regs, self.tsc_offset, self.kernel.tsc());
            self.append(&record, "a trapped instruction")?;
            stopped.set_registers(&instructions::apply(trapped, &record, &regs))?;
            self.undo_forced(&stopped, signal)?;
            return Ok(Next::Go(stopped, 0));
        }
        let disposition = self.kernel.signals().disposition(signal);
        let held = self.original(Held { signal, info });
        if is_fault(signal, &info) {
            let mask = stopped.signal_mask()?;
            self.append(&signals::record(Placement::Fault, &held, mask, mask, &regs, 0), "a fault")?;
            return Ok(Next::Go(stopped, signal));
        }
        let default = disposition.handler == libc::SIG_DFL as u64;
        if default && (is_job_control(signal) || signal == libc::SIGCONT) {
            // Stopping and continuing change nothing in the server's memory; what they interrupt is in the log.
            return Ok(Next::Go(stopped, signal));
        }
        if disposition.handler == libc::SIG_IGN as u64 || (default && is_ignored_by_default(signal)) {
            return Ok(Next::Go(stopped, 0));
        }
        match self.at_exit.take() {
            Some(exit) if exit.rip == regs.rip && exit.rsp == regs.rsp => {
                let frame = stopped.signal_mask()?;
                let mask = exit.temporary.unwrap_or(frame);
                stopped.set_siginfo(&held.info)?;
                self.append(&signals::record(Placement::Exit, &held, frame, mask, &regs, exit.number), "a signal")?;
                Ok(Next::Go(stopped, signal))
            }
            _ => {
                self.held.push_back(held);
                Ok(Next::Go(stopped, 0))
            }
        }
    }

    /// The siginfo that a signal first came with, if it had to be sent again.
    fn original(&mut self, found: Held) -> Held {
        match self.resent.iter().position(|h| h.signal == found.signal) {
            Some(at) => self.resent.remove(at),
            None => found,
        }
    }

    /// Delivers the first held signal where the next call would have begun; the call is made again afterwards.
    pub(super) fn deliver_at_entry(
        &mut self,
        stopped: Stopped,
        regs: &Registers,
        call: &Call,
    ) -> Result<Next, RecordingError> {
        let pid = stopped.pid();
        let before = signals::before_call(regs);
        stopped.set_registers(&before)?;
        for held in self.held.drain(..) {
            stopped.send(held.signal)?;
            self.resent.push(held);
        }
        match stopped.run(Resume::Continue, 0)? {
            Event::Signal(stopped, signal) => {
                let info = stopped.siginfo()?;
                let held = self.original(Held { signal, info });
                let mask = stopped.signal_mask()?;
                stopped.set_siginfo(&held.info)?;
                let record = signals::record(Placement::Entry, &held, mask, mask, &before, call.number);
                self.append(&record, "a signal")?;
                Ok(Next::Go(stopped, signal))
            }
            // All of them are blocked by now: the kernel keeps them, the call begins anew.
            Event::Seccomp(stopped) => self.call(stopped),
            Event::Dead(status) => Ok(Next::Dead(status)),
            other => {
                let found = other.name();
                Err(TraceeError::Unexpected { pid, expected: "a held signal", found }.into())
            }
        }
    }

    /// rt_sigreturn: executed by both sides; the registers and the mask it restores are compared.
    pub(super) fn sigreturn(&mut self, stopped: Stopped, flow: InCall) -> Result<Next, RecordingError> {
        let pid = stopped.pid();
        let stopped = match stopped.run(Resume::ToSyscallExit, 0)? {
            Event::SyscallExit(stopped) => stopped,
            Event::Dead(status) => return Ok(Next::Dead(status)),
            other => {
                let found = other.name();
                return Err(TraceeError::Unexpected { pid, expected: "the return of rt_sigreturn", found }.into());
            }
        };
        let after = stopped.registers()?;
        let mut record = Record::new(common::record::Kind::Call, nr::RT_SIGRETURN, 0);
        record.check = signals::general_digest(&after);
        let mask = stopped.signal_mask()?.to_le_bytes().to_vec();
        record.segments.push(Segment { address: 0, role: SegmentRole::Out, arg: 0, bytes: mask });
        self.append(&record, flow.shape.name)?;
        if is_pending(pid) {
            let number = u64::from(nr::RT_SIGRETURN);
            self.at_exit = Some(AtExit { rip: after.rip, rsp: after.rsp, number, temporary: None });
        }
        Ok(Next::Go(stopped, 0))
    }

    /// A trapped instruction raised a signal that the server may have blocked or ignored: the kernel has then unblocked it
    /// and reset its disposition, which is put back.
    fn undo_forced(&mut self, stopped: &Stopped, signal: i32) -> Result<(), RecordingError> {
        let mask = self.kernel.signals().mask();
        if mask & (1 << (signal - 1)) != 0 {
            stopped.set_signal_mask(mask)?;
        }
        Ok(())
    }
}

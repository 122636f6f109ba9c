//! Signals on the recording side: which are deferred, which are delivered at once.

use std::collections::VecDeque;

use common::abi;
use common::kernel::bit;
use common::position::Ticks;
use common::record::{Instruction, Kind, Placement, Record, Segment, SegmentRole};
use common::syscall::{Memory, nr};

use super::{InCall, Next, Recorder, RecordingError, posix_timer};
use crate::inject::{self, Held};
use crate::instructions;
use crate::interceptor::{self, code};
use crate::place::PlaceError;
use crate::place::near::{self, Found};
use crate::signals;
use crate::sys::ptrace::{self, Resume};
use crate::tracee::{Event, Registers, Stopped, TraceeError};

/// How a call that was let run came out.
pub(super) enum Ran {
    /// The process stands at its return.
    Returned(Stopped),
    /// The call has to begin anew: the process stands before it, and a signal is held.
    Anew(Stopped),
    /// It is no more, with this wait status.
    Dead(i32),
}

/// How long a call may wait, and where it is told so.
#[derive(Debug, Clone, Copy)]
enum Patience {
    Endless,
    /// Argument 3, in milliseconds.
    Milliseconds(u64),
    /// In nanoseconds: the struct timespec that this argument points to.
    Timespec(u64, usize),
}

/// Whether a call gives EINTR also where it was interrupted for nothing, and can be made again.
fn made_again(flow: &InCall, memory: &dyn Memory) -> Option<Patience> {
    let args = &flow.call.args;
    let arg = match flow.shape.number {
        nr::EPOLL_WAIT | nr::EPOLL_PWAIT => {
            return Some(u64::try_from(abi::int(args[3])).map_or(Patience::Endless, Patience::Milliseconds));
        }
        nr::EPOLL_PWAIT2 => 3,
        nr::RT_SIGTIMEDWAIT => 2,
        _ => return None,
    };
    if args[arg] == 0 {
        return Some(Patience::Endless);
    }
    let raw = memory.bytes(args[arg], 16).ok()?;
    let word = |at: usize| raw[at..at + 8].try_into().map_or(0, u64::from_le_bytes);
    Some(Patience::Timespec(word(0).saturating_mul(1_000_000_000).saturating_add(word(8)), arg))
}

/// The registers of the same call with what is left of its time after `gone` nanoseconds.
fn with_time_left(stopped: &Stopped, patience: Patience, gone: u64) -> Result<(), RecordingError> {
    let mut regs = stopped.registers()?;
    match patience {
        Patience::Endless => return Ok(()),
        Patience::Milliseconds(whole) => regs.r10 = whole.saturating_sub(gone / 1_000_000),
        Patience::Timespec(whole, arg) => {
            let left = whole.saturating_sub(gone);
            let spec = [(left / 1_000_000_000).to_le_bytes(), (left % 1_000_000_000).to_le_bytes()].concat();
            stopped.write(inject::SCRATCH, &spec)?;
            if arg == 2 {
                regs.rdx = inject::SCRATCH;
            } else {
                regs.r10 = inject::SCRATCH;
            }
        }
    }
    Ok(stopped.set_registers(&regs)?)
}

/// A call has returned and a signal is pending right there.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtExit {
    pub(super) rip: u64,
    pub(super) rsp: u64,
    pub(super) number: u64,
    /// The mask that the call had set for its own duration.
    pub(super) temporary: Option<u64>,
}

/// The signals that wait for a process, not for one thread of it.
pub(super) fn pending_for_process(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    value.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).unwrap_or(0)
}

/// The unblocked signals that wait for a process that is stopped.
pub(super) fn pending(pid: i32) -> u64 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return 0 };
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| u64::from_str_radix(value.trim(), 16).ok())
            .unwrap_or(0)
    };
    (field("SigPnd:") | field("ShdPnd:")) & !field("SigBlk:")
}

/// Lets a process make the call again before which it has been made to do others, and gives it its mask back there.
pub(super) fn call_again(stopped: Stopped, mask: u64) -> Result<Ran, RecordingError> {
    let pid = stopped.pid();
    let mut event = stopped.run(Resume::Continue, 0)?;
    loop {
        event = match event {
            Event::Seccomp(stopped) => {
                stopped.set_signal_mask(mask)?;
                return Ok(Ran::Returned(stopped));
            }
            // SIGSTOP cannot be blocked.
            Event::Signal(stopped, signal) => stopped.run(Resume::Continue, signal)?,
            Event::Dead(status) => return Ok(Ran::Dead(status)),
            other => {
                let found = other.name();
                return Err(TraceeError::Unexpected { pid, expected: "the same call again", found }.into());
            }
        };
    }
}

/// What becomes of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Nothing: it is ignored.
    Drop,
    /// It stops or continues the process. That changes nothing in its memory, and what it interrupts is in the log.
    Pass,
    /// It ends the process.
    Fatal,
    /// A handler runs.
    Handle,
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

/// The pid of the sender as the server is to see it: it knows itself by the pid that it had on the first primary.
fn seen(mut held: Held, real: i32, seen: i32) -> Held {
    const CODE: usize = 8;
    const PID: usize = 16;
    let word = |at: usize| i32::from_le_bytes([held.info[at], held.info[at + 1], held.info[at + 2], held.info[at + 3]]);
    if matches!(word(CODE), libc::SI_USER | libc::SI_TKILL) && word(PID) == real {
        held.info[PID..PID + 4].copy_from_slice(&seen.to_le_bytes());
    }
    held
}

fn is_ignored_by_default(signal: i32) -> bool {
    matches!(signal, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH)
}

fn is_job_control(signal: i32) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU | libc::SIGCONT)
}

impl Recorder<'_> {
    /// What becomes of a signal as things stand.
    pub(super) fn treatment(&self, signal: i32) -> Treatment {
        let handler = self.kernel().signals().disposition(signal).handler;
        let default = handler == libc::SIG_DFL as u64;
        if handler == libc::SIG_IGN as u64 || (default && is_ignored_by_default(signal)) {
            Treatment::Drop
        } else if default && is_job_control(signal) {
            Treatment::Pass
        } else if default {
            Treatment::Fatal
        } else {
            Treatment::Handle
        }
    }

    /// A signal is about to be delivered.
    pub(super) fn signal(&mut self, stopped: Stopped, signal: i32) -> Result<Next, RecordingError> {
        let info = stopped.siginfo()?;
        let regs = stopped.registers()?;
        if let Some(trapped) = instructions::trapped(&stopped, &regs, signal, &info, &self.sites) {
            let record = instructions::answer(trapped, &regs, || self.read_counter());
            instructions::carry_out(&stopped, trapped, &regs)?;
            self.append(&record, "a trapped instruction")?;
            let regs = instructions::apply(trapped, &record, &regs);
            let (stopped, held) = signals::undo_forced(stopped, &regs, signal, self.kernel().signals())?;
            self.held.extend(held);
            if matches!(trapped.instruction, Instruction::Rdtsc | Instruction::Rdtscp) {
                self.patch_counter(&stopped, trapped)?;
            }
            return Ok(Next::Go(stopped, 0));
        }
        let held = seen(Held { signal, info }, stopped.pid(), self.kernel().identity().pid);
        let stopped = if code::contains(regs.rip) {
            match self.signal_inside(stopped, signal, &held, &regs)? {
                Ok(next) => return Ok(next),
                Err(stopped) => stopped,
            }
        } else {
            stopped
        };
        let regs = stopped.registers()?;
        if signals::is_fault(signal, &info) {
            let mask = stopped.signal_mask()?;
            // The kernel has reset the handler of a signal that was blocked.
            let blocked = self.kernel().signals().mask() & bit(signal) != 0;
            let treatment = if blocked { Treatment::Fatal } else { self.treatment(signal) };
            self.append(&signals::record(Placement::Fault, &held, mask, mask, &regs, 0), "a fault")?;
            return Self::deliver(stopped, signal, true, treatment);
        }
        let treatment = if self.is_of_no_timer(&held) { Treatment::Drop } else { self.treatment(signal) };
        match treatment {
            Treatment::Drop => return Ok(Next::Go(stopped, 0)),
            Treatment::Pass => return Ok(Next::Go(stopped, signal)),
            Treatment::Fatal | Treatment::Handle => {}
        }
        match self.at_exit.take() {
            Some(exit) if exit.rip == regs.rip && exit.rsp == regs.rsp => {
                let frame = stopped.signal_mask()?;
                let mask = exit.temporary.unwrap_or(frame);
                stopped.set_siginfo(&held.info)?;
                self.append(&signals::record(Placement::Exit, &held, frame, mask, &regs, exit.number), "a signal")?;
                Self::deliver(stopped, signal, false, treatment)
            }
            // It ends here and now: nobody will see at which instruction that was.
            _ if treatment == Treatment::Fatal => Ok(Next::Go(stopped, signal)),
            _ => {
                self.held.push_back(held);
                Ok(Next::Go(stopped, 0))
            }
        }
    }

    /// Delivers a signal where the process stands, after its record, which may have taken the handler away (SA_RESETHAND): `treatment` is
    /// of before.
    fn deliver(stopped: Stopped, signal: i32, fault: bool, treatment: Treatment) -> Result<Next, RecordingError> {
        if treatment != Treatment::Handle {
            return Ok(Next::Go(stopped, signal));
        }
        Ok(match signals::enter(stopped, signal, fault, None)? {
            Event::Signal(stopped, libc::SIGTRAP) => Next::Go(stopped, 0),
            // Its stack takes no frame, or somebody has killed it.
            other => Next::Event(other),
        })
    }

    /// The server was interrupted: a signal has waited long enough for its next call, and is placed between two of them; or a replica is to
    /// be told how far the server has come.
    pub(super) fn overdue(&mut self, stopped: Stopped) -> Result<Next, RecordingError> {
        self.due = None;
        let told = self.pace.take();
        let regs = stopped.registers()?;
        if code::contains(regs.rip) {
            self.again_outside(&stopped, &regs)?;
            return Ok(Next::Go(stopped, 0));
        }
        let mask = stopped.signal_mask()?;
        let is_due = |held: &Held| mask & bit(held.signal) == 0 && self.treatment(held.signal) == Treatment::Handle;
        let due = self.held.iter().position(is_due);
        // In a call, or at the return of one: the kernel has its say there.
        let patches = self.inside.as_ref().map(|inside| &inside.patches);
        let is_own = interceptor::is_own(regs.rip, regs.rip + 1)
            && !patches.is_some_and(|patches| patches.is_behind_counter(regs.rip));
        let between = self.at_exit.is_none() && regs.orig_rax == u64::MAX && !is_own;
        if !between || due.is_none() && !told {
            return Ok(Next::Go(stopped, 0));
        }
        let mut arrived = Vec::new();
        let found = near::find(stopped, patches, self.ticks.as_deref_mut(), &mut arrived)?;
        for Held { signal, info } in arrived {
            let treatment = self.treatment(signal);
            if matches!(treatment, Treatment::Pass | Treatment::Fatal) {
                // It comes again, when the server runs. One that is gone needs none.
                let _ = ptrace::send(self.pid, signal);
            }
            if treatment == Treatment::Handle {
                self.held.push_back(seen(Held { signal, info }, self.pid, self.kernel().identity().pid));
            }
        }
        let (stopped, mut position) = match found {
            Found::Here(stopped, position) => (stopped, position),
            Found::Not(stopped) => return Ok(Next::Go(stopped, 0)),
            Found::Event(event) => return Ok(Next::Event(event)),
        };
        position.ticks = self.ticks_since_last_record()?;
        let segment = Segment { address: 0, role: SegmentRole::Position, arg: 0, bytes: position.encode() };
        let Some(due) = due else {
            let mut record = Record::new(Kind::Position, 0, 0);
            record.segments.push(segment);
            self.append(&record, "a position")?;
            return Ok(Next::Go(stopped, 0));
        };
        let Some(held) = self.held.remove(due) else { return Ok(Next::Go(stopped, 0)) };
        let mut record = signals::record(Placement::State, &held, mask, mask, &stopped.registers()?, 0);
        record.segments.push(segment);
        stopped.set_siginfo(&held.info)?;
        self.append(&record, "a signal")?;
        Self::deliver(stopped, held.signal, false, Treatment::Handle)
    }

    /// How far the server has come from where a replica stops as well. Calls made in process in between stop nobody.
    fn ticks_since_last_record(&mut self) -> Result<Option<Ticks>, RecordingError> {
        let calls = self.inside.as_ref().map_or(0, |inside| inside.shared.calls());
        let Some(source) = self.ticks.as_mut().filter(|_| self.counted_from == Some(calls)) else { return Ok(None) };
        Ok(Some(Ticks { unit: source.unit(), count: source.count().map_err(PlaceError::from)? }))
    }

    /// Gives the held signals back to the kernel, before the call that begins: it interrupts that call if it blocks, and is
    /// delivered at its return.
    ///
    /// A program that looks whether a signal has come and then waits would otherwise wait for good: it has looked, and the
    /// signal has not come yet. Of equal signals below SIGRTMIN one waits at a time; the others stay for the next call.
    pub(super) fn make_pending(&mut self, stopped: Stopped, regs: &Registers) -> Result<Ran, RecordingError> {
        let pid = stopped.pid();
        posix_timer::merge(&mut self.held);
        let (mut now, mut later) = (Vec::<Held>::new(), VecDeque::new());
        let there = posix_timer::pending_for_thread(pid);
        for held in self.held.drain(..) {
            let waits = held.signal < libc::SIGRTMIN() && now.iter().any(|h| h.signal == held.signal);
            // The kernel keeps one of each: others wait, but those of a timer are never lost to one that waits.
            let lost = there & bit(held.signal) != 0 && posix_timer::is_of_timer(&held);
            if waits || lost { later.push_back(held) } else { now.push(held) }
        }
        self.held = later;
        if now.is_empty() {
            return Ok(Ran::Returned(stopped));
        }
        let mask = stopped.signal_mask()?;
        stopped.set_signal_mask(u64::MAX)?;
        let (stopped, held) = signals::send_again(stopped, &signals::before_call(regs), &now)?;
        self.held.extend(held);
        call_again(stopped, mask)
    }

    /// Notes whether a signal is pending where a call returns: it is then delivered before the server's next instruction.
    pub(super) fn look_for_signals(
        &mut self,
        stopped: &Stopped,
        regs: &Registers,
        number: u64,
        temporary: Option<u64>,
    ) -> Result<(), RecordingError> {
        // What the kernel could not queue does not show there.
        let limited = self.kernel().identity().limits.contains_key(&abi::int(libc::RLIMIT_SIGPENDING.into()));
        if (limited || stopped.has_signals()?) && pending(stopped.pid()) != 0 {
            self.at_exit = Some(AtExit { rip: regs.rip, rsp: regs.rsp, number, temporary });
        }
        Ok(())
    }

    /// Lets a call run to its return.
    ///
    /// A process that is traced is woken by signals that it ignores. Most calls are then restarted by the kernel; those that
    /// give EINTR instead are made again here, for what is left of their time.
    pub(super) fn run_call(
        &mut self,
        mut stopped: Stopped,
        regs: &Registers,
        flow: &InCall,
    ) -> Result<Ran, RecordingError> {
        let pid = stopped.pid();
        let made_again = made_again(flow, &stopped).map(|patience| (patience, self.monotonic_now()));
        let mut changed = false;
        loop {
            let mut event = stopped.run(Resume::ToSyscallExit, 0)?;
            if let Event::Forked(stopped, child) = event {
                if self.is_taken(child) {
                    return self.bury(stopped, child, regs);
                }
                self.birth(&stopped, child, &flow.call)?;
                event = stopped.run(Resume::ToSyscallExit, 0)?;
            }
            stopped = match event {
                Event::SyscallExit(stopped) => stopped,
                Event::Dead(status) => return Ok(Ran::Dead(status)),
                other => {
                    let found = other.name();
                    return Err(TraceeError::Unexpected { pid, expected: "the return of a system call", found }.into());
                }
            };
            let Some((patience, since)) = made_again else { return Ok(Ran::Returned(stopped)) };
            let mut after = stopped.registers()?;
            let ignored = || (1..=64).all(|s| pending(pid) & bit(s) == 0 || self.treatment(s) == Treatment::Drop);
            if after.rax.cast_signed() != -i64::from(libc::EINTR) || !ignored() {
                if changed {
                    [after.rdx, after.r10] = [regs.rdx, regs.r10];
                    stopped.set_registers(&after)?;
                    stopped.write(inject::SCRATCH, &[0; 16])?;
                }
                return Ok(Ran::Returned(stopped));
            }
            stopped.set_registers(&signals::before_call(regs))?;
            let mut event = stopped.run(Resume::Continue, 0)?;
            stopped = loop {
                event = match event {
                    Event::Signal(stopped, signal) => {
                        let treatment = self.treatment(signal);
                        let info = stopped.siginfo()?;
                        if matches!(treatment, Treatment::Handle | Treatment::Fatal) {
                            self.held.push_back(seen(Held { signal, info }, pid, self.kernel().identity().pid));
                        }
                        stopped.run(Resume::Continue, if treatment == Treatment::Pass { signal } else { 0 })?
                    }
                    Event::Seccomp(stopped) => break stopped,
                    Event::Dead(status) => return Ok(Ran::Dead(status)),
                    other => {
                        let found = other.name();
                        return Err(TraceeError::Unexpected { pid, expected: "the same call again", found }.into());
                    }
                };
            };
            if !self.held.is_empty() {
                return Ok(Ran::Anew(stopped));
            }
            with_time_left(&stopped, patience, self.monotonic_now().saturating_sub(since))?;
            changed = true;
        }
    }

    /// rt_sigreturn: executed by both sides; the registers and the mask it restores are compared.
    pub(super) fn sigreturn(&mut self, stopped: Stopped, flow: InCall) -> Result<Next, RecordingError> {
        let before = stopped.registers()?;
        let pid = stopped.pid();
        let stopped = match stopped.run(Resume::ToSyscallExit, 0)? {
            Event::SyscallExit(stopped) => stopped,
            Event::Dead(status) => return Ok(Next::Dead(status)),
            other => {
                let found = other.name();
                return Err(TraceeError::Unexpected { pid, expected: "the return of rt_sigreturn", found }.into());
            }
        };
        let mut after = stopped.registers()?;
        if let Some(moved) = self.moved(after.rip) {
            after.rip = moved;
            stopped.set_registers(&after)?;
        }
        let mut record = Record::new(Kind::Call, nr::RT_SIGRETURN, 0);
        record.check = signals::sigreturn_check(&before, &after);
        let mask = stopped.signal_mask()?.to_le_bytes().to_vec();
        record.segments.push(Segment { address: 0, role: SegmentRole::Out, arg: 0, bytes: mask });
        self.append(&record, flow.shape.name)?;
        self.look_for_signals(&stopped, &after, nr::RT_SIGRETURN.into(), None)?;
        Ok(Next::Go(stopped, 0))
    }
}

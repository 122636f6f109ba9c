//! Delivering signals where the log says.
//!
//! The kernel builds the frames, on both sides: the tracer only chooses the moment, the return of a system call. A signal that
//! comes while the server runs its own code is kept until the next call begins, interrupts it if it blocks, and is delivered
//! at its return. See docs/determinism.md.

use common::abi;
use common::digest::Digest;
use common::kernel::{AltStack, Signals, bit};
use common::record::{Kind, Placement, Record, Segment, SegmentRole};
use common::syscall::{Memory, nr};

use crate::cpu;
use crate::inject::{self, Held, InjectError, Session};
use crate::sys::ptrace::{Resume, SIGINFO_LEN};
use crate::tracee::{Event, Registers, Stopped, TraceeError, checked};

/// The kernel's restart codes (include/linux/errno.h), negative as in rax: ERESTARTSYS is the highest of them.
pub const RESTART_SYS: i64 = -512;
/// ERESTART_RESTARTBLOCK, the lowest: the call goes on by restart_syscall(2).
pub const RESTART_BLOCK: i64 = -516;

/// Whether a result is one of the kernel's restart codes.
#[must_use]
pub fn is_restart(result: i64) -> bool {
    (RESTART_BLOCK..=RESTART_SYS).contains(&result)
}

/// The check of an rt_sigreturn: the registers that it was called with, then each one that it restores as a word: rax, rbx,
/// rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15, rip.
#[must_use]
pub fn sigreturn_check(before: &Registers, regs: &Registers) -> u64 {
    let words = [
        regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8, regs.r9, regs.r10,
        regs.r11, regs.r12, regs.r13, regs.r14, regs.r15, regs.rip,
    ];
    let mut digest = Digest::of_registers(&checked(before));
    words.into_iter().for_each(|word| digest.word(word));
    digest.finish()
}

/// Offset of uc_sigmask from the stack pointer at the first instruction of a handler: return address, uc_flags,
/// uc_link, uc_stack, struct sigcontext (arch/x86/include/uapi/asm/sigcontext.h).
const FRAME_SIGMASK: u64 = 8 + 8 + 8 + 24 + 256;
/// Offset of the same mask's first word as the old interface has it: word 21 of the struct sigcontext, which begins at 48.
const FRAME_OLD_MASK: u64 = 48 + 8 * 21;
/// Offsets of err, trapno and cr2 there: words 19, 20 and 22.
const FRAME_TRAP: [u64; 3] = [48 + 8 * 19, 48 + 8 * 20, 48 + 8 * 22];

/// The registers of a call that is not to happen now but to be called again: as they were before its instruction.
#[must_use]
pub fn before_call(regs: &Registers) -> Registers {
    let mut regs = *regs;
    regs.rip -= 2;
    regs.rax = regs.orig_rax;
    regs.orig_rax = u64::MAX;
    regs
}

/// si_code of a siginfo.
#[must_use]
pub fn code(info: &[u8; SIGINFO_LEN]) -> i32 {
    i32::from_le_bytes([info[8], info[9], info[10], info[11]])
}

/// Whether a signal is the program's own doing: an instruction that cannot go on.
#[must_use]
pub fn is_fault(signal: i32, info: &[u8; SIGINFO_LEN]) -> bool {
    let synchronous =
        matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP | libc::SIGSYS);
    synchronous && code(info) > 0
}

/// The record of a delivered signal. `frame_mask` is the mask that goes into its frame, `mask` the one in force.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "signals are numbered from 1 to 64")]
pub fn record(placement: Placement, held: &Held, frame_mask: u64, mask: u64, regs: &Registers, number: u64) -> Record {
    let record = Record::new(Kind::Signal, held.signal as u16, placement as i64);
    let mut record = record.with_args(&[frame_mask, mask, regs.rip, number]);
    record.check = Digest::of_registers(&checked(regs)).finish();
    record.segments.push(Segment { address: 0, role: SegmentRole::SigInfo, arg: 0, bytes: held.info.to_vec() });
    record
}

/// How far the delivery of a signal has come.
#[derive(Debug)]
pub enum Delivering {
    /// To resume the process with the signal delivers it.
    Before(Stopped, i32),
    /// The process stands at its handler's first instruction.
    Inside(Stopped),
    /// There was no room for the frame, or the process is dead.
    Failed(Event),
}

/// Brings a stopped process to the delivery of a signal of the log, at the place where it stands.
///
/// `regs` are its registers there; with `orig_rax` a call's number and `rax` a restart code the kernel restarts or
/// interrupts the call as it did on the primary. A process whose `has_handler` is left at its handler's first instruction.
///
/// # Errors
/// When the process is gone or stops elsewhere.
pub fn force(
    stopped: Stopped,
    regs: &Registers,
    record: &Record,
    info: &[u8; SIGINFO_LEN],
    has_handler: bool,
) -> Result<Delivering, TraceeError> {
    let pid = stopped.pid();
    let signal = i32::from(record.number);
    let (frame_mask, mask) = (record.arg(0), record.arg(1));
    // Only this signal can be taken now.
    stopped.set_signal_mask(!(1u64 << (signal - 1)))?;
    let mut leave = *regs;
    leave.orig_rax = u64::MAX;
    stopped.set_registers(&leave)?;
    stopped.send(signal)?;
    let mut event = stopped.run(Resume::Continue, 0)?;
    let stopped = loop {
        event = match event {
            Event::Signal(stopped, found) if found == signal => break stopped,
            // Somebody stops or continues the replica.
            Event::Signal(stopped, _) => stopped.run(Resume::Continue, 0)?,
            other => return Err(unexpected(pid, other)),
        };
    };
    stopped.set_registers(regs)?;
    stopped.set_siginfo(info)?;
    stopped.set_signal_mask(mask)?;
    if !has_handler {
        return Ok(Delivering::Before(stopped, signal));
    }
    Ok(match enter(stopped, signal, false, (frame_mask != mask).then_some(frame_mask))? {
        Event::Signal(stopped, libc::SIGTRAP) => Delivering::Inside(stopped),
        other => Delivering::Failed(other),
    })
}

/// Lets the kernel build the frame of a signal, of a process that stands before its delivery: the event is SIGTRAP before the handler's first
/// instruction. `frame_mask` is put into the frame, where that is not the mask in force: the call had set one for its own duration.
///
/// A frame also tells of the last trap that the process ran into, which has nothing to do with a signal from outside (one that is no
/// `fault`): it can have been a breakpoint on the one side and none on the other. That is made zeros. And it tells which components of the
/// extended state the processor had in use, which may differ for the same values: all are said to be.
///
/// # Errors
/// When the process is gone.
pub fn enter(stopped: Stopped, signal: i32, fault: bool, frame_mask: Option<u64>) -> Result<Event, TraceeError> {
    let event = stopped.run(Resume::Step, signal)?;
    if let Event::Signal(stopped, libc::SIGTRAP) = &event {
        let rsp = stopped.registers()?.rsp;
        for offset in FRAME_TRAP.into_iter().filter(|_| !fault) {
            stopped.write(rsp + offset, &[0; 8])?;
        }
        say_all_in_use(stopped, rsp)?;
        if let Some(mask) = frame_mask {
            for offset in [FRAME_SIGMASK, FRAME_OLD_MASK] {
                stopped.write(rsp + offset, &mask.to_le_bytes())?;
            }
        }
    }
    Ok(event)
}

/// Where a frame's extended state has a header: it says of all components that are there that they are in use. The kernel has written each
/// of them (XSAVE, not XSAVEOPT), those that were not in use with their initial values.
///
/// What is between the components it leaves as it was, or clears if it could not write to the page at once, as after a fork: that becomes zeros.
fn say_all_in_use(stopped: &Stopped, rsp: u64) -> Result<(), TraceeError> {
    // Word 23 of the struct sigcontext; struct _fpx_sw_bytes at 464, whose magic, xfeatures and size count; the header behind 512 bytes.
    const FRAME_FPSTATE: u64 = 48 + 8 * 23;
    const SOFTWARE: u64 = 464;
    const MAGIC: u64 = 0x4650_5853;
    const HEADER: u64 = 512;
    let word = |address: u64| {
        let mut word = [0; 8];
        stopped.read(address, &mut word).ok().map(|()| u64::from_le_bytes(word))
    };
    let state = word(rsp + FRAME_FPSTATE).filter(|state| *state != 0);
    if let Some(state) = state
        && word(state + SOFTWARE).is_some_and(|magic| magic & 0xffff_ffff == MAGIC)
        && let Some(components) = word(state + SOFTWARE + 8)
        && let Some(len) = word(state + SOFTWARE + 16)
    {
        stopped.write(state + HEADER, &components.to_le_bytes())?;
        for (start, end) in cpu::between_components(components, len & 0xffff_ffff) {
            stopped.write(state + start, &vec![0; abi::size(end - start)])?;
        }
    }
    Ok(())
}

/// Gives signals that were taken from the kernel back to it, with the siginfo that they came with; the process goes on at
/// `regs`. Also gives the signals that came meanwhile.
///
/// # Errors
/// When the process is gone.
pub fn send_again(stopped: Stopped, regs: &Registers, held: &[Held]) -> Result<(Stopped, Vec<Held>), InjectError> {
    let mut session = Session::begin(stopped, *regs);
    let pid = session.process().pid();
    for held in held {
        let at = session.scratch(&held.info)?;
        // Only a process itself may send any siginfo (rt_sigqueueinfo(2)).
        let args = [abi::word(pid), abi::word(pid), abi::word(held.signal), at, 0, 0];
        let (after, result) = session.call_raw(nr::RT_TGSIGQUEUEINFO.into(), args)?;
        session = after;
        if result < 0 {
            // Its queue is full (RLIMIT_SIGPENDING): the signal must come all the same.
            session.process().send(held.signal)?;
        }
    }
    session.process().write(inject::SCRATCH, &[0; SIGINFO_LEN])?;
    session.end()
}

/// Lets a process go on at `regs` behind a trapped instruction.
///
/// The trap came as a signal that the process may have blocked or ignored: the kernel has then unblocked it and reset its
/// disposition to the default (force_sig_info_to_task in kernel/signal.c). Both are put back to what the model says.
///
/// # Errors
/// When the process is gone.
pub fn undo_forced(
    stopped: Stopped,
    regs: &Registers,
    signal: i32,
    state: &Signals,
) -> Result<(Stopped, Vec<Held>), InjectError> {
    let disposition = state.disposition(signal);
    let blocked = state.mask() & bit(signal) != 0;
    if blocked {
        stopped.set_signal_mask(state.mask())?;
    }
    let reset = blocked || disposition.handler == libc::SIG_IGN as u64;
    if !reset || disposition.handler == libc::SIG_DFL as u64 {
        stopped.set_registers(regs)?;
        return Ok((stopped, Vec::new()));
    }
    let session = Session::begin(stopped, *regs);
    let words = [disposition.handler, disposition.flags, disposition.restorer, disposition.mask];
    let action: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let at = session.scratch(&action)?;
    let (session, _) = session.call(nr::RT_SIGACTION.into(), [abi::word(signal), at, 0, 8, 0, 0])?;
    session.process().write(inject::SCRATCH, &vec![0; action.len()])?;
    session.end()
}

fn unexpected(pid: i32, found: Event) -> TraceeError {
    TraceeError::Unexpected { pid, expected: "the delivery of a signal of the log", found: found.name() }
}

/// struct stack_t as the kernel reads it.
#[must_use]
pub fn altstack_bytes(stack: AltStack) -> Vec<u8> {
    let words = [stack.base, u64::from(stack.flags.cast_unsigned()), stack.size];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// After an exec: there is no alternate stack, but what the last call about one said is still there and stands in the frames of
/// signals. Where there was a stack (`before`), it becomes the same on both sides, whatever became of it meanwhile.
///
/// # Errors
/// When the process is gone.
pub fn disable_altstack(stopped: Stopped, before: &Signals) -> Result<Stopped, InjectError> {
    if before.altstack().is_none() {
        return Ok(stopped);
    }
    let regs = stopped.registers()?;
    let session = Session::begin(stopped, regs);
    let bytes = altstack_bytes(AltStack { base: 0, flags: libc::SS_DISABLE, size: 0 });
    let address = session.scratch(&bytes)?;
    let (session, _) = session.call(nr::SIGALTSTACK.into(), [address, 0, 0, 0, 0, 0])?;
    session.process().write(address, &vec![0; bytes.len()])?;
    Ok(session.end()?.0)
}

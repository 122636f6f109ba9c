//! Delivering signals where the log says.
//!
//! The kernel builds the frames, on both sides: the tracer only chooses the moment. A signal that was taken while the server
//! ran its own code is delivered where the next system call would have begun ([`Placement::Entry`]); one that interrupted a
//! call, at that call's return ([`Placement::Exit`]). See docs/determinism.md.

use common::record::{Kind, Placement, Record, Segment, SegmentRole};
use xxhash_rust::xxh3::xxh3_64;

use crate::inject::Held;
use crate::sys::ptrace::{Resume, SIGINFO_LEN};
use crate::tracee::{Event, Registers, Stopped, TraceeError};

/// The kernel's restart codes (include/linux/errno.h), negative as in rax: ERESTARTSYS is the highest of them.
pub const RESTART_SYS: i64 = -512;
/// ERESTART_RESTARTBLOCK, the lowest: the call goes on by restart_syscall(2).
pub const RESTART_BLOCK: i64 = -516;

/// Whether a result is one of the kernel's restart codes.
#[must_use]
pub fn is_restart(result: i64) -> bool {
    (RESTART_BLOCK..=RESTART_SYS).contains(&result)
}

/// A digest of the general registers.
#[must_use]
pub fn general_digest(regs: &Registers) -> u64 {
    let words = [
        regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8, regs.r9, regs.r10,
        regs.r11, regs.r12, regs.r13, regs.r14, regs.r15, regs.rip,
    ];
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    xxh3_64(&bytes)
}

/// Offset of uc_sigmask from the stack pointer at the first instruction of a handler: return address, uc_flags,
/// uc_link, uc_stack, struct sigcontext (arch/x86/include/uapi/asm/sigcontext.h).
const FRAME_SIGMASK: u64 = 8 + 8 + 8 + 24 + 256;

/// The registers of a call that is not to happen now but to be called again: as they were before its instruction.
#[must_use]
pub fn before_call(regs: &Registers) -> Registers {
    let mut regs = *regs;
    regs.rip -= 2;
    regs.rax = regs.orig_rax;
    regs.orig_rax = u64::MAX;
    regs
}

/// The record of a delivered signal. `frame_mask` is the mask that goes into its frame, `mask` the one in force.
#[must_use]
pub fn record(placement: Placement, held: &Held, frame_mask: u64, mask: u64, regs: &Registers, number: u64) -> Record {
    let mut record = Record::new(Kind::Signal, held.signal as u16, placement as i64);
    record.args = vec![frame_mask, mask, regs.rip, number];
    record.segments.push(Segment { address: 0, role: SegmentRole::SigInfo, arg: 0, bytes: held.info.to_vec() });
    record
}

/// A process that stands before the delivery of a signal: to resume it with that signal delivers it.
#[derive(Debug)]
pub struct Delivering {
    /// The process.
    pub stopped: Stopped,
    /// The signal to resume it with; 0 when the frame is already there.
    pub signal: i32,
}

/// Brings a stopped process to the delivery of a signal of the log, at the place where it stands.
///
/// `regs` are its registers there; with `orig_rax` a call's number and `rax` a restart code the kernel restarts or
/// interrupts the call as it did on the primary.
///
/// # Errors
/// When the process is gone or stops elsewhere.
pub fn force(
    stopped: Stopped,
    regs: &Registers,
    record: &Record,
    info: &[u8; SIGINFO_LEN],
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
    let stopped = match stopped.run(Resume::Continue, 0)? {
        Event::Signal(stopped, found) if found == signal => stopped,
        other => return Err(unexpected(pid, other)),
    };
    stopped.set_registers(regs)?;
    stopped.set_siginfo(info)?;
    stopped.set_signal_mask(mask)?;
    if frame_mask == mask {
        return Ok(Delivering { stopped, signal });
    }
    // The call had set a mask for its own duration. Let the kernel build the frame under that mask and stop before the
    // handler's first instruction, then put the mask that is to be restored into the frame.
    let stopped = match stopped.run(Resume::Step, signal)? {
        Event::Signal(stopped, libc::SIGTRAP) => stopped,
        other => return Err(unexpected(pid, other)),
    };
    let rsp = stopped.registers()?.rsp;
    stopped.write(rsp + FRAME_SIGMASK, &frame_mask.to_le_bytes())?;
    Ok(Delivering { stopped, signal: 0 })
}

fn unexpected(pid: i32, found: Event) -> TraceeError {
    TraceeError::Unexpected { pid, expected: "the delivery of a signal of the log", found: found.name() }
}

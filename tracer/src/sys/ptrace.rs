//! ptrace(2) requests and waitpid(2) as functions with typed results.
//!
//! The caller of each holds a [`crate::tracee::Stopped`], that is, the tracee is stopped and this thread attached it; where
//! that is not so any more (it was killed) the kernel answers ESRCH, which is an ordinary error here.
#![expect(unsafe_code, reason = "ptrace requests and register sets that nix does not wrap")]

use std::ptr;

use common::abi;
use nix::errno::Errno;

/// Size of siginfo_t.
pub const SIGINFO_LEN: usize = 128;
const NT_X86_XSTATE: usize = 0x202;
/// Room for the extended state of any present processor (AVX-512 and AMX need 11 KiB).
const XSTATE_MAX: usize = 16 << 10;

/// How a stopped tracee goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// To the next seccomp stop, signal or end.
    Continue,
    /// As Continue, and to the exit of the system call in progress.
    ToSyscallExit,
    /// One instruction.
    Step,
    /// Stay in a group stop, but report what comes.
    Listen,
}

fn request(request: libc::c_uint, pid: i32, address: usize, data: usize) -> Result<i64, Errno> {
    Errno::clear();
    // SAFETY: every caller in this module passes `address` and `data` either as plain numbers or as pointers to live locals of which `data` is
    // at least as large as the request writes.
    let result = unsafe { libc::ptrace(request, pid, address, data) };
    if result == -1 && Errno::last_raw() != 0 { Err(Errno::last()) } else { Ok(result) }
}

/// Attaches to `pid` without stopping it. The processes that it starts are attached to from their first instruction on.
///
/// # Errors
/// EPERM when the system does not allow it.
pub fn seize(pid: i32) -> Result<(), Errno> {
    let options = libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACESECCOMP
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_EXITKILL;
    request(libc::PTRACE_SEIZE, pid, 0, abi::size(abi::word(options))).map(drop)
}

/// Lets a stopped tracee go on, traced by nobody.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn detach(pid: i32) -> Result<(), Errno> {
    request(libc::PTRACE_DETACH, pid, 0, 0).map(drop)
}

/// What the kernel tells about the event at which a tracee has stopped: the new process of a fork.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn event_message(pid: i32) -> Result<u64, Errno> {
    let mut message: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, pid, 0, &raw mut message as usize)?;
    Ok(message)
}

/// Resumes, with a signal delivered if `signal` is not 0.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn resume(pid: i32, how: Resume, signal: i32) -> Result<(), Errno> {
    let kind = match how {
        Resume::Continue => libc::PTRACE_CONT,
        Resume::ToSyscallExit => libc::PTRACE_SYSCALL,
        Resume::Step => libc::PTRACE_SINGLESTEP,
        Resume::Listen => libc::PTRACE_LISTEN,
    };
    request(kind, pid, 0, abi::size(abi::word(signal))).map(drop)
}

/// Waits for the next stop or the end of this one process.
///
/// # Errors
/// ECHILD when it is no child of this thread group.
pub fn wait(pid: i32) -> Result<i32, Errno> {
    wait_as(pid, libc::__WALL).map(|(_, status)| status)
}

/// The same where this very thread traces or has started the process.
///
/// # Errors
/// ECHILD when it has not.
pub fn wait_if_own(pid: i32) -> Result<i32, Errno> {
    wait_as(pid, libc::__WALL | libc::__WNOTHREAD).map(|(_, status)| status)
}

/// Waits for the next stop or the end of any process that this very thread traces: for a thread that does nothing else. Those of
/// other threads are left to them.
///
/// # Errors
/// ECHILD when there is none.
pub fn wait_for_any() -> Result<(i32, i32), Errno> {
    wait_as(-1, libc::__WALL | libc::__WNOTHREAD)
}

fn wait_as(pid: i32, options: i32) -> Result<(i32, i32), Errno> {
    loop {
        match waited(pid, options) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// The same, until a signal comes to this thread.
///
/// # Errors
/// EINTR then, and as [`wait`].
pub fn wait_or_wake(pid: i32) -> Result<i32, Errno> {
    waited(pid, libc::__WALL).map(|(_, status)| status)
}

fn waited(pid: i32, options: i32) -> Result<(i32, i32), Errno> {
    let mut status = 0;
    // SAFETY: `status` is a live local.
    let pid = Errno::result(unsafe { libc::waitpid(pid, &raw mut status, options) })?;
    Ok((pid, status))
}

/// Stops a tracee where it is, by nothing that it could see.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn interrupt(pid: i32) -> Result<(), Errno> {
    request(libc::PTRACE_INTERRUPT, pid, 0, 0).map(drop)
}

/// General registers.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn registers(pid: i32) -> Result<libc::user_regs_struct, Errno> {
    // SAFETY: an all-zero user_regs_struct is a valid value of this plain struct.
    let mut regs: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETREGS, pid, 0, &raw mut regs as usize)?;
    Ok(regs)
}

/// Sets the general registers.
///
/// # Errors
/// ESRCH when the tracee is gone, EIO for values the kernel does not accept.
pub fn set_registers(pid: i32, regs: &libc::user_regs_struct) -> Result<(), Errno> {
    request(libc::PTRACE_SETREGS, pid, 0, ptr::from_ref(regs) as usize).map(drop)
}

/// The raw bytes of the general registers, as the snapshot holds them.
#[must_use]
pub fn registers_to_bytes(regs: &libc::user_regs_struct) -> Vec<u8> {
    let len = size_of::<libc::user_regs_struct>();
    // SAFETY: a user_regs_struct is 27 u64 without padding; the slice lives no longer than the reference.
    unsafe { std::slice::from_raw_parts(ptr::from_ref(regs).cast::<u8>(), len) }.to_vec()
}

/// The general registers from the snapshot's bytes; `None` when the length is wrong.
#[must_use]
pub fn registers_from_bytes(bytes: &[u8]) -> Option<libc::user_regs_struct> {
    if bytes.len() != size_of::<libc::user_regs_struct>() {
        return None;
    }
    // SAFETY: the length was checked; every bit pattern is a valid user_regs_struct; the read is unaligned.
    Some(unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) })
}

/// Extended state (x87, SSE, AVX ...) in the XSAVE layout.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn xstate(pid: i32) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0u8; XSTATE_MAX];
    let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    request(libc::PTRACE_GETREGSET, pid, NT_X86_XSTATE, &raw mut vector as usize)?;
    buffer.truncate(vector.iov_len);
    Ok(buffer)
}

/// Sets the extended state.
///
/// # Errors
/// EINVAL when the processor has another layout.
pub fn set_xstate(pid: i32, state: &[u8]) -> Result<(), Errno> {
    let mut vector = libc::iovec { iov_base: state.as_ptr().cast_mut().cast(), iov_len: state.len() };
    request(libc::PTRACE_SETREGSET, pid, NT_X86_XSTATE, &raw mut vector as usize).map(drop)
}

/// Sets the one hardware breakpoint that is used here: the tracee stops before the instruction at `address`; `None` takes it away.
///
/// # Errors
/// ESRCH when the tracee is gone, EINVAL or EPERM where there are no breakpoints.
pub fn set_breakpoint(pid: i32, address: Option<u64>) -> Result<(), Errno> {
    const CONTROL: usize = 7;
    // DR7: breakpoint 0 of this process, on execution (Intel SDM volume 3, 18.2.4).
    const EXECUTE_0: usize = 1;
    let register = |number: usize| std::mem::offset_of!(libc::user, u_debugreg) + 8 * number;
    request(libc::PTRACE_POKEUSER, pid, register(CONTROL), 0)?;
    if let Some(address) = address {
        request(libc::PTRACE_POKEUSER, pid, register(0), abi::size(address))?;
        request(libc::PTRACE_POKEUSER, pid, register(CONTROL), EXECUTE_0)?;
    }
    Ok(())
}

/// The siginfo of a signal-delivery-stop.
///
/// # Errors
/// ESRCH when the tracee is gone, EINVAL when it is in a group stop.
pub fn siginfo(pid: i32) -> Result<[u8; SIGINFO_LEN], Errno> {
    let mut info = [0u8; SIGINFO_LEN];
    request(libc::PTRACE_GETSIGINFO, pid, 0, info.as_mut_ptr() as usize)?;
    Ok(info)
}

/// Sets the siginfo that the signal about to be delivered carries.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn set_siginfo(pid: i32, info: &[u8; SIGINFO_LEN]) -> Result<(), Errno> {
    request(libc::PTRACE_SETSIGINFO, pid, 0, info.as_ptr() as usize).map(drop)
}

/// The mask of blocked signals.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn signal_mask(pid: i32) -> Result<u64, Errno> {
    let mut mask = 0u64;
    request(libc::PTRACE_GETSIGMASK, pid, 8, &raw mut mask as usize)?;
    Ok(mask)
}

/// Sets the mask of blocked signals.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn set_signal_mask(pid: i32, mask: u64) -> Result<(), Errno> {
    request(libc::PTRACE_SETSIGMASK, pid, 8, &raw const mask as usize).map(drop)
}

/// Whether signals are queued, for the thread or for the process.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn has_signals(pid: i32) -> Result<bool, Errno> {
    let mut info = [0u8; SIGINFO_LEN];
    for flags in [0, libc::PTRACE_PEEKSIGINFO_SHARED] {
        let args = libc::ptrace_peeksiginfo_args { off: 0, flags, nr: 1 };
        let found = request(libc::PTRACE_PEEKSIGINFO, pid, &raw const args as usize, info.as_mut_ptr() as usize)?;
        if found > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The siginfo_t of signals that wait for the thread, in the order in which they came: as far as they fit 64 kilobytes.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn queued(pid: i32) -> Result<Vec<[u8; SIGINFO_LEN]>, Errno> {
    const MOST: usize = 512;
    let mut infos = vec![[0u8; SIGINFO_LEN]; 1];
    // Mostly there is none.
    for room in [1, MOST] {
        infos.resize(room, [0; SIGINFO_LEN]);
        let nr = i32::try_from(room).unwrap_or(1);
        let args = libc::ptrace_peeksiginfo_args { off: 0, flags: 0, nr };
        let found = request(libc::PTRACE_PEEKSIGINFO, pid, &raw const args as usize, infos.as_mut_ptr() as usize)?;
        infos.truncate(usize::try_from(found).unwrap_or(0));
        if infos.is_empty() {
            break;
        }
    }
    Ok(infos)
}

/// Sends a signal to the one thread of the tracee.
///
/// # Errors
/// ESRCH when the tracee is gone.
pub fn send(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: tgkill takes plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, signal) };
    Errno::result(result).map(drop)
}

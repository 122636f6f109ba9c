//! perf_event_open(2): counters of what a thread executes in user mode.
#![expect(
    unsafe_code,
    reason = "perf_event_open, its ioctls and F_SETOWN_EX have no wrapper; a loop with a known number of branches"
)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use perf_event_open_sys::bindings::{PERF_TYPE_BREAKPOINT, PERF_TYPE_RAW, perf_event_attr};
use perf_event_open_sys::ioctls;

/// HW_BREAKPOINT_X and HW_BREAKPOINT_LEN_8 of include/uapi/linux/hw_breakpoint.h.
const ON_EXECUTION: u32 = 4;
const LEN_OF_EXECUTION: u64 = 8;
/// F_OWNER_TID of fcntl(2).
const OWNER_IS_A_THREAD: i32 = 0;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// A processor's own event.
    Raw(u64),
    /// Executions of the instruction at this address.
    Passes(u64),
}

/// A counter of one thread.
#[derive(Debug)]
pub struct Counter(OwnedFd);

impl Counter {
    /// One that stands still; `period` is after how many it raises its signal.
    ///
    /// # Errors
    /// ENOENT and EOPNOTSUPP where the processor has no such event, EACCES and EPERM where it may not be used.
    pub fn open(counted: Counted, thread: i32, period: u64) -> Result<Self, Errno> {
        let mut attr =
            perf_event_attr { size: u32::try_from(size_of::<perf_event_attr>()).unwrap_or(0), ..Default::default() };
        match counted {
            Counted::Raw(event) => (attr.type_, attr.config) = (PERF_TYPE_RAW, event),
            Counted::Passes(address) => {
                attr.type_ = PERF_TYPE_BREAKPOINT;
                attr.bp_type = ON_EXECUTION;
                attr.__bindgen_anon_3.bp_addr = address;
                attr.__bindgen_anon_4.bp_len = LEN_OF_EXECUTION;
            }
        }
        attr.__bindgen_anon_1.sample_period = period;
        attr.set_disabled(1);
        attr.set_pinned(1);
        attr.set_exclude_kernel(1);
        attr.set_exclude_hv(1);
        // SAFETY: `attr` is a live local with its own size in it.
        let fd = Errno::result(unsafe {
            perf_event_open_sys::perf_event_open(&raw mut attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC)
        })?;
        // SAFETY: perf_event_open returned a new descriptor that nobody else has.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Counts from now on.
    ///
    /// # Errors
    /// EINVAL where the counter is lost.
    pub fn start(&self) -> Result<(), Errno> {
        // SAFETY: plain numbers.
        Errno::result(unsafe { ioctls::ENABLE(self.0.as_raw_fd(), 0) }).map(drop)
    }

    /// Counts from now on until it has raised `signal` in the thread, once.
    ///
    /// # Errors
    /// ESRCH when the thread is gone.
    pub fn start_until(&self, thread: i32, signal: i32) -> Result<(), Errno> {
        let owner = Owner { kind: OWNER_IS_A_THREAD, id: thread };
        let fd = self.0.as_raw_fd();
        // SAFETY: `owner` is a live local as F_SETOWN_EX wants it; the others are plain numbers.
        unsafe {
            Errno::result(libc::fcntl(fd, libc::F_SETFL, libc::O_ASYNC))?;
            Errno::result(libc::fcntl(fd, F_SETOWN_EX, &raw const owner))?;
            Errno::result(libc::fcntl(fd, F_SETSIG, signal))?;
            Errno::result(ioctls::REFRESH(fd, 1))?;
        }
        Ok(())
    }

    /// How many there were.
    ///
    /// # Errors
    /// EIO when the counter had to be given to somebody else.
    pub fn count(&self) -> Result<u64, Errno> {
        let mut word = [0; 8];
        match nix::unistd::read(&self.0, &mut word)? {
            8 => Ok(u64::from_ne_bytes(word)),
            _ => Err(Errno::EIO),
        }
    }
}

/// PERF_FLAG_FD_CLOEXEC of include/uapi/linux/perf_event.h.
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
/// Commands of fcntl(2) that libc does not name (include/uapi/asm-generic/fcntl.h).
const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;

/// struct f_owner_ex.
#[repr(C)]
struct Owner {
    kind: i32,
    id: i32,
}

/// Executes `rounds` conditional branches, and a locked instruction before each: some processors count a speculated one twice.
pub fn branches(rounds: u64) {
    let mut word = 0u64;
    // SAFETY: the loop ends after `rounds`, changes two registers that are told, and adds to a live local.
    unsafe {
        core::arch::asm!(
            "2:",
            "lock add qword ptr [{word}], 1",
            "dec {left}",
            "jnz 2b",
            left = inout(reg) rounds.max(1) => _,
            word = in(reg) &raw mut word,
            options(nostack),
        );
    }
}

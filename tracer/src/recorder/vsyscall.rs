//! The vsyscall page: three calls at fixed addresses that the kernel answers without a system call's entry and exit.
//!
//! The filter stops them all the same, but there is no return to stop at: they can only be skipped. So they are answered here, on
//! both sides alike, as any call that ftrun answers (arch/x86/entry/vsyscall/vsyscall_64.c in the kernel).

use common::syscall::nr;
use nix::time::{ClockId, clock_gettime};

use super::InCall;
use crate::tracee::{Registers, Stopped, TraceeError};

const PAGE: std::ops::Range<u64> = 0xffff_ffff_ff60_0000..0xffff_ffff_ff60_1000;

/// Whether a process stands in that page.
pub(super) fn is_there(regs: &Registers) -> bool {
    PAGE.contains(&regs.rip)
}

/// Executes such a call.
pub(super) fn answer(stopped: &Stopped, flow: &InCall) -> Result<i64, TraceeError> {
    let [first, second, ..] = flow.call.args;
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map_err(|errno| TraceeError::Request {
        what: "read the clock for",
        pid: stopped.pid(),
        errno,
    })?;
    let (writes, result) = match flow.shape.number {
        nr::TIME => ([(first, now.tv_sec().to_le_bytes().to_vec()), (0, Vec::new())], now.tv_sec()),
        nr::GETTIMEOFDAY => {
            let value = [now.tv_sec().to_le_bytes(), (now.tv_nsec() / 1000).to_le_bytes()].concat();
            ([(first, value), (second, vec![0; 8])], 0)
        }
        // getcpu: there is one processor as far as the server is to know.
        _ => ([(first, vec![0; 4]), (second, vec![0; 4])], 0),
    };
    for (address, bytes) in writes {
        if address != 0 && stopped.write(address, &bytes).is_err() {
            return Ok(-i64::from(libc::EFAULT));
        }
    }
    Ok(result)
}

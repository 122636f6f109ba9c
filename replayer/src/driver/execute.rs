//! The calls that replay executes: memory, signal dispositions, the thread's own registers.

use common::abi;
use common::ids::Lsn;
use common::kernel::{Kernel, Object};
use common::record::{Record, SegmentRole};
use common::syscall::nr;
use tracer::signals;
use tracer::sys::ptrace::Resume;
use tracer::tracee::{Event, Registers, Stopped};

use super::{At, Driver, ReplayError};

impl Driver {
    /// Executes a call of the log that succeeded; the process then stands at its return, its registers as recorded.
    pub(super) fn execute(
        &mut self,
        lsn: Lsn,
        record: &Record,
        stopped: Stopped,
        regs: &Registers,
        kernel: &Kernel,
    ) -> Result<Stopped, ReplayError> {
        let mut changed = *regs;
        let result = abi::word(record.result);
        let mapped = match kernel.object(abi::int(record.arg(4))) {
            Some(Object::File(file)) if record.number == nr::MMAP && !file.unlinked => Some(file.path.clone()),
            _ => None,
        };
        self.file_areas.follow(record, mapped);
        match record.number {
            nr::MMAP => {
                // A mapped file is plain memory here: its content comes with the record.
                let kept = (libc::MAP_SHARED | libc::MAP_PRIVATE | libc::MAP_GROWSDOWN | libc::MAP_NORESERVE) as u64;
                let shares =
                    record.arg(3) & libc::MAP_PRIVATE as u64 == 0 && record.arg(3) & libc::MAP_ANONYMOUS as u64 != 0;
                let sharing = if shares { libc::MAP_SHARED } else { libc::MAP_PRIVATE };
                let other = kept & !abi::word(libc::MAP_SHARED | libc::MAP_PRIVATE) & record.arg(3);
                changed.rdi = result;
                changed.r10 = abi::word(libc::MAP_FIXED | libc::MAP_ANONYMOUS | sharing) | other;
                changed.r8 = u64::MAX;
                changed.r9 = 0;
                self.sites.unmapped(result, record.arg(1).next_multiple_of(4096));
                self.patches.unmapped(result, record.arg(1).next_multiple_of(4096));
            }
            nr::MREMAP if result == record.arg(0) => changed.r10 = 0,
            nr::MREMAP => {
                changed.r10 = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as u64;
                changed.r8 = result;
            }
            nr::MUNMAP => {
                self.sites.unmapped(record.arg(0), record.arg(1).next_multiple_of(4096));
                self.patches.unmapped(record.arg(0), record.arg(1).next_multiple_of(4096));
            }
            _ => {}
        }
        stopped.set_registers(&changed)?;
        let stopped = match stopped.run(Resume::ToSyscallExit, 0)? {
            Event::SyscallExit(stopped) => stopped,
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let after = stopped.registers()?;
        if after.rax != result && record.number != nr::SET_TID_ADDRESS {
            let found = format!("result {}", after.rax.cast_signed());
            return Err(self.diverged(lsn, record, format!("result {}", record.result), found, Some(after)));
        }
        let mut back = after;
        [back.rdi, back.rsi, back.rdx, back.r10, back.r8, back.r9] =
            [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
        back.rax = result;
        stopped.set_registers(&back)?;
        Ok(stopped)
    }

    /// rt_sigreturn restores registers and mask from the frame; both must be what they were on the primary.
    pub(super) fn sigreturn(&mut self, lsn: Lsn, record: &Record, stopped: Stopped) -> Result<(), ReplayError> {
        let stopped = match stopped.run(Resume::ToSyscallExit, 0)? {
            Event::SyscallExit(stopped) => stopped,
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let mut regs = stopped.registers()?;
        if let Some(moved) = self.patches.moved(regs.rip) {
            regs.rip = moved;
            stopped.set_registers(&regs)?;
        }
        let (mask, digest) = (stopped.signal_mask()?, signals::general_digest(&regs));
        let logged = record.bytes_of(SegmentRole::Out).unwrap_or_default();
        if digest != record.check || mask.to_le_bytes() != logged {
            let expected = format!("registers with digest {:#018x}, mask {logged:02x?}", record.check);
            let found = format!("registers with digest {digest:#018x}, mask {:02x?}", mask.to_le_bytes());
            return Err(self.diverged(lsn, record, expected, found, Some(regs)));
        }
        self.at = At::Ready(stopped, 0);
        Ok(())
    }
}

//! The calls that replay executes: memory, signal dispositions, the thread's own registers.

use common::abi;
use common::ids::Lsn;
use common::kernel::{Kernel, Object};
use common::record::{FileState, Record, SegmentRole};
use common::syscall::{Class, nr};
use tracer::files::{FileId, Mapped, maps_shared_file};
use tracer::inject::Session;
use tracer::launch::{self, Mapping};
use tracer::signals;
use tracer::sys::ptrace::Resume;
use tracer::tracee::{Event, Registers, Stopped};

use super::{At, Driver, ReplayError};

/// Whether replay executes a call of the log: those of that class, unless they failed without an effect, and limits of the stack.
///
/// # Errors
/// When the memory map cannot be read.
pub(super) fn is_executed(
    class: Class,
    record: &Record,
    stopped: &Stopped,
    kernel: &Kernel,
) -> Result<bool, ReplayError> {
    let succeeded = !(-4095..0).contains(&record.result);
    let failed_with = |errno: i32| record.result == -i64::from(errno);
    let of_stack = |resource: u64| abi::uint(resource) == libc::RLIMIT_STACK;
    let own = |pid: u64| [0, kernel.identity().pid].contains(&abi::int(pid));
    Ok(match record.number {
        // They decide where a stack stops growing.
        nr::SETRLIMIT => succeeded && of_stack(record.arg(0)),
        nr::PRLIMIT64 => (succeeded || failed_with(libc::EFAULT)) && own(record.arg(0)) && of_stack(record.arg(1)),
        _ if class != Class::Execute => false,
        // What is new is in force although what was before could not be written.
        nr::RT_SIGACTION | nr::RT_SIGPROCMASK | nr::SIGALTSTACK => succeeded || failed_with(libc::EFAULT),
        // Memory up to a hole, or around it, has been changed.
        nr::MPROTECT | nr::MADVISE if failed_with(libc::ENOMEM) => {
            let start = record.arg(0);
            let end = start.saturating_add(record.arg(1)).checked_next_multiple_of(4096).unwrap_or(u64::MAX);
            has_hole(&launch::maps(stopped.pid())?, start, end)
        }
        _ => succeeded,
    })
}

/// What the descriptor of mmap(2) is open on.
fn mapped(record: &Record, kernel: &Kernel, file: Option<FileId>) -> Mapped {
    let fd = abi::int(record.arg(4));
    let Some(open) = kernel.descriptors().get(fd).filter(|_| record.number == nr::MMAP) else {
        return Mapped { file, ..Mapped::default() };
    };
    let path = match &open.object {
        Object::File(opened) if !opened.unlinked => Some(opened.path.clone()),
        _ => None,
    };
    Mapped { path, writable: open.flags & libc::O_ACCMODE == libc::O_RDWR, file }
}

/// Whether a part of an area is not mapped.
fn has_hole(maps: &[Mapping], start: u64, end: u64) -> bool {
    let mapped_up_to = |at: u64, map: &Mapping| if (map.start..map.end).contains(&at) { map.end } else { at };
    maps.iter().fold(start, mapped_up_to) < end
}

impl Driver {
    /// Executes a call of the log, see [`is_executed`]; the process then stands at its return, its registers as recorded.
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
        let shared_file = match self.file_of(lsn, record)? {
            Some(state) if maps_shared_file(record.number, &record.args) => Some(state),
            _ => None,
        };
        self.file_areas.follow(record, mapped(record, kernel, shared_file.map(FileId::from)));
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
                if let Some(state) = shared_file {
                    let back = Registers { rax: result, ..*regs };
                    return self.map_standing(record, state, Session::begin(stopped, back), other);
                }
            }
            // One that is refused says where the heap ends; the limit that refused it is the primary's.
            nr::BRK => changed.rdi = result,
            nr::PRLIMIT64 => changed.rdi = 0,
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
        if record.number == nr::MREMAP
            && let Some(standing) = self.file_areas.next_standing(result).filter(|standing| standing.start == result)
        {
            let to = standing.offset.saturating_add(record.arg(2).next_multiple_of(4096));
            self.mapped.clear(standing.file, standing.offset, to)?;
        }
        let mut back = after;
        [back.rdi, back.rsi, back.rdx, back.r10, back.r8, back.r9] =
            [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
        back.rax = result;
        stopped.set_registers(&back)?;
        Ok(stopped)
    }

    /// Maps what stands for a file, as the call of the record mapped the file; its content comes with the record.
    fn map_standing(
        &mut self,
        record: &Record,
        state: FileState,
        session: Session,
        flags: u64,
    ) -> Result<Stopped, ReplayError> {
        let [len, protection, offset] = [record.arg(1), record.arg(2), record.arg(5)];
        let (session, number) = self.mapped.open(session, state, &self.file_areas)?;
        self.mapped.clear(state.into(), offset, offset.saturating_add(len.next_multiple_of(4096)))?;
        let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as u64 | flags;
        let args = [abi::word(record.result), len, protection, flags, number, offset];
        let (session, _) = session.call(nr::MMAP.into(), args)?;
        Ok(session.end()?.0)
    }

    /// The file that a record tells of.
    pub(super) fn file_of(&self, lsn: Lsn, record: &Record) -> Result<Option<FileState>, ReplayError> {
        let Some(bytes) = record.bytes_of(SegmentRole::File) else { return Ok(None) };
        let state = FileState::decode(bytes);
        if state.is_none() {
            return Err(self.diverged(lsn, record, "a file of 24 bytes", format!("{} bytes", bytes.len()), None));
        }
        Ok(state)
    }

    /// rt_sigreturn restores registers and mask from the frame; both must be what they were on the primary.
    pub(super) fn sigreturn(&mut self, lsn: Lsn, record: &Record, stopped: Stopped) -> Result<(), ReplayError> {
        let before = stopped.registers()?;
        let stopped = match stopped.run(Resume::ToSyscallExit, 0)? {
            Event::SyscallExit(stopped) => stopped,
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let mut regs = stopped.registers()?;
        if let Some(moved) = self.patches.moved(regs.rip) {
            regs.rip = moved;
            stopped.set_registers(&regs)?;
        }
        let (mask, digest) = (stopped.signal_mask()?, signals::sigreturn_check(&before, &regs));
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

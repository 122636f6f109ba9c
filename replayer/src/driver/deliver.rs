//! Signals of the log, delivered where it says; faults that only the primary's memory has.

use common::abi::{self, PAGE};
use common::digest::Digest;
use common::ids::Lsn;
use common::kernel::{Kernel, bit};
use common::position::Position;
use common::record::{Placement, Record, SegmentRole};
use common::syscall::nr;
use tracer::inject::Session;
use tracer::launch;
use tracer::place::watch::{self, Reached};
use tracer::signals::{self, Delivering};
use tracer::sys::ptrace::{Resume, SIGINFO_LEN};
use tracer::tracee::{Event, Registers, Stopped, TraceeError, checked};

use super::{At, Driver, ReplayError};
use crate::progress::Progress;

/// si_code of SIGBUS: there is nothing at this address (sigaction(2)).
const BUS_ADRERR: i32 = 2;

/// The page whose absence raised a SIGBUS: it lies behind the end of a mapped file. In a replica it is plain memory.
fn absent_page(signal: i32, info: &[u8; SIGINFO_LEN]) -> Option<u64> {
    let code = i32::from_le_bytes([info[8], info[9], info[10], info[11]]);
    let address = info[16..24].try_into().map_or(0, u64::from_le_bytes);
    (signal == libc::SIGBUS && code == BUS_ADRERR).then_some(address & !(PAGE - 1))
}

impl Driver {
    pub(super) fn signal(&mut self, lsn: Lsn, record: &Record, progress: &Progress) -> Result<(), ReplayError> {
        let info: Option<[u8; SIGINFO_LEN]> =
            record.bytes_of(SegmentRole::SigInfo).and_then(|bytes| bytes.try_into().ok());
        let (Some(placement), Some(info), 1..=64) = (Placement::from_result(record.result), info, record.number) else {
            return Err(self.diverged(lsn, record, "a signal record", "a malformed one", None));
        };
        let handler = progress.kernel.signals().disposition(i32::from(record.number)).handler;
        let has_handler = handler != libc::SIG_DFL as u64;
        let delivering = match placement {
            Placement::Exit => {
                let At::Ready(stopped, 0) = self.take() else {
                    return Err(self.diverged(lsn, record, "the return of a call", "another point", None));
                };
                let mut regs = stopped.registers()?;
                if let Some((number, _)) = self.returned.take() {
                    regs.orig_rax = number;
                }
                if regs.rip != record.arg(2) {
                    return Err(self.elsewhere(lsn, record, regs));
                }
                self.registers_there(lsn, record, &regs)?;
                signals::force(stopped, &regs, record, &info, has_handler)?
            }
            Placement::State => {
                let stopped = self.come_to(lsn, record, &progress.kernel)?;
                let regs = stopped.registers()?;
                self.registers_there(lsn, record, &regs)?;
                signals::force(stopped, &regs, record, &info, has_handler)?
            }
            Placement::Fault => self.fault(lsn, record, &info, &progress.kernel)?,
        };
        self.at = match delivering {
            Delivering::Before(stopped, _) => At::Delivering(stopped, record.clone()),
            Delivering::Inside(stopped) => At::Ready(stopped, 0),
            Delivering::Failed(event) => {
                self.unframed = Some(record.clone());
                At::Arrived(event)
            }
        };
        Ok(())
    }

    fn registers_there(&self, lsn: Lsn, record: &Record, regs: &Registers) -> Result<(), ReplayError> {
        self.registers(lsn, record, Digest::of_registers(&checked(regs)).finish(), regs)
    }

    /// Lets the process run to the state that the record tells.
    pub(super) fn come_to(&mut self, lsn: Lsn, record: &Record, kernel: &Kernel) -> Result<Stopped, ReplayError> {
        let position = record.bytes_of(SegmentRole::Position).map(Position::decode);
        let Some(Ok(position)) = position else {
            return Err(self.diverged(lsn, record, "a signal record with a position", "a malformed one", None));
        };
        let stopped = self.between(lsn, record)?;
        let ticks = self.ticks.as_deref_mut().filter(|_| !self.passed_over);
        match watch::reach(stopped, &position, ticks, kernel.signals(), &mut self.looks)? {
            Reached::Here(stopped) => Ok(stopped),
            Reached::Elsewhere(event) => Err(self.wrong_stop(lsn, record, event)),
        }
    }

    /// The process where it is in no call, and in a handler if one is to run.
    fn between(&mut self, lsn: Lsn, record: &Record) -> Result<Stopped, ReplayError> {
        match self.take() {
            At::Ready(stopped, 0) if self.returned.is_none() => Ok(stopped),
            // Into the handler, up to its first instruction.
            At::Delivering(stopped, delivering) => match stopped.run(Resume::Step, i32::from(delivering.number))? {
                Event::Signal(stopped, libc::SIGTRAP) => Ok(stopped),
                other => Err(self.wrong_stop(lsn, record, other)),
            },
            _ => Err(self.diverged(lsn, record, "a process that runs", "one in a call", None)),
        }
    }

    /// Lets the process run into the fault of the record.
    fn fault(
        &mut self,
        lsn: Lsn,
        record: &Record,
        info: &[u8; SIGINFO_LEN],
        kernel: &Kernel,
    ) -> Result<Delivering, ReplayError> {
        let expected = i32::from(record.number);
        if let Some(page) = absent_page(expected, info) {
            return self.absence(lsn, record, info, page, kernel);
        }
        let stopped = match self.advance()? {
            Event::Signal(stopped, signal) if signal == expected => stopped,
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let regs = stopped.registers()?;
        if regs.rip != record.arg(2) {
            return Err(self.elsewhere(lsn, record, regs));
        }
        self.registers_there(lsn, record, &regs)?;
        stopped.set_siginfo(info)?;
        Ok(into_handler(stopped, expected, kernel)?)
    }

    /// A page is taken away until the process touches it: the fault then stands for the SIGBUS of the record.
    fn absence(
        &mut self,
        lsn: Lsn,
        record: &Record,
        info: &[u8; SIGINFO_LEN],
        page: u64,
        kernel: &Kernel,
    ) -> Result<Delivering, ReplayError> {
        let stopped = self.between(lsn, record)?;
        let area = launch::maps(stopped.pid())?.into_iter().find(|area| (area.start..area.end).contains(&page));
        let Some(area) = area else {
            return Err(self.diverged(lsn, record, format!("memory at {page:#x}"), "none", None));
        };
        self.at = At::Ready(protect(stopped, page, libc::PROT_NONE)?, 0);
        let stopped = match self.advance()? {
            Event::Signal(stopped, libc::SIGSEGV) => stopped,
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let regs = stopped.registers()?;
        if regs.rip != record.arg(2) || stopped.siginfo()?[16..24] != info[16..24] {
            return Err(self.elsewhere(lsn, record, regs));
        }
        self.registers_there(lsn, record, &regs)?;
        let (stopped, _) = signals::undo_forced(stopped, &regs, libc::SIGSEGV, kernel.signals())?;
        let stopped = protect(stopped, page, area.prot)?;
        // The frame tells of the fault: it is no signal from outside.
        match signals::force(stopped, &regs, record, info, false)? {
            Delivering::Before(stopped, signal) => Ok(into_handler(stopped, signal, kernel)?),
            other => Ok(other),
        }
    }
}

/// A process that is about to get the signal of a fault gets it, if it has a handler for it.
fn into_handler(stopped: Stopped, signal: i32, kernel: &Kernel) -> Result<Delivering, TraceeError> {
    // The kernel has reset the handler of a signal that was blocked.
    let state = kernel.signals();
    let is_handled = state.disposition(signal).handler > libc::SIG_IGN as u64;
    if !is_handled || state.mask() & bit(signal) != 0 {
        return Ok(Delivering::Before(stopped, signal));
    }
    Ok(match signals::enter(stopped, signal, true, None)? {
        Event::Signal(stopped, libc::SIGTRAP) => Delivering::Inside(stopped),
        other => Delivering::Failed(other),
    })
}

fn protect(stopped: Stopped, page: u64, protection: i32) -> Result<Stopped, ReplayError> {
    let regs = stopped.registers()?;
    let session = Session::begin(stopped, regs);
    let (session, _) = session.call(nr::MPROTECT.into(), [page, PAGE, abi::word(protection), 0, 0, 0])?;
    Ok(session.end()?.0)
}

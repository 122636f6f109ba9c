//! Where a replay ends: the process as the server would go on.

use std::sync::Arc;

use common::ids::Lsn;
use common::kernel::Kernel;
use common::record::Record;
use common::syscall::nr;
use tracer::files::FileAreas;
use tracer::instructions::{self, Sites};
use tracer::interceptor::patches::Patches;
use tracer::interceptor::shared::{Mode, Shared};
use tracer::signals;
use tracer::sys::ptrace::Resume;
use tracer::tracee::{Event, Registers, Stopped, TraceeError};

use super::{At, Driver, ReplayError};
use crate::mapped::MappedFiles;

/// A process at a record boundary, ready to run on its own.
#[derive(Debug)]
pub struct Point {
    /// The process; its registers are not yet those it goes on with.
    pub stopped: Stopped,
    /// The registers it goes on with.
    pub registers: Registers,
    /// A signal that is to be delivered before anything else.
    pub deliver: Option<Record>,
    /// The call at whose return it stands.
    pub returned_from: Option<u64>,
    /// The kernel state.
    pub kernel: Kernel,
    /// Patched instructions.
    pub sites: Sites,
    /// Sites that go to the interceptor.
    pub patches: Patches,
    /// Memory that holds what a file held, and is not mapped from it.
    pub file_areas: FileAreas,
    /// Memory that stands for files.
    pub mapped: MappedFiles,
    /// The end of the log that was applied.
    pub lsn: Lsn,
    /// What it shares with its interceptor, which leaves all calls to the tracer.
    pub shared: Arc<Shared>,
}

impl Driver {
    /// The log is at its end: the process is brought to where it goes on from.
    pub(super) fn settle(&mut self, interrupted: bool) -> Result<(), ReplayError> {
        self.shared.set_mode(Mode::Outside);
        let (mut stopped, regs, trap) = match self.take() {
            At::Arrived(Event::Seccomp(stopped)) => {
                let regs = signals::before_call(&stopped.registers()?);
                if interrupted {
                    stopped.skip_call(0)?;
                }
                (stopped, regs, None)
            }
            At::Arrived(Event::Signal(stopped, signal)) => {
                let regs = instructions::before(&stopped, signal)?;
                (stopped, regs, Some(signal))
            }
            other => {
                self.at = other;
                return Ok(());
            }
        };
        self.last_call = None;
        if interrupted {
            // It had stopped by itself when the interruption came, which it must not meet later.
            stopped = match stopped.run(Resume::Continue, 0)? {
                Event::Signal(stopped, libc::SIGSTOP) => stopped,
                Event::Dead(status) => {
                    self.at = At::Dead(status);
                    return Ok(());
                }
                other => {
                    return Err(ReplayError::Tracee(TraceeError::Unexpected {
                        pid: other.stopped().map_or(0, Stopped::pid),
                        expected: "the stop that was asked for",
                        found: other.name(),
                    }));
                }
            };
        }
        match trap {
            Some(signal) => {
                let kernel = self.kernel();
                stopped = signals::undo_forced(stopped, &regs, signal, kernel.signals())?.0;
            }
            None => stopped.set_registers(&regs)?,
        }
        // Without the fault it has not been delivered.
        self.at = match self.unframed.take() {
            Some(record) => At::Delivering(stopped, record),
            None => At::Ready(stopped, 0),
        };
        Ok(())
    }

    /// Ends replay: the process as it stands. `None` when it is dead.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn into_point(self) -> Result<Option<Point>, ReplayError> {
        let (stopped, deliver, exiting) = match self.at {
            At::Ready(stopped, _) => (stopped, None, false),
            At::Exiting(stopped) => (stopped, None, true),
            At::Delivering(stopped, record) => (stopped, Some(record), false),
            At::Arrived(_) | At::Dead(_) | At::Lost => return Ok(None),
        };
        let mut registers = stopped.registers()?;
        if exiting {
            // It stands before the last call of its life, which is made again.
            registers = signals::before_call(&registers);
        }
        let mut returned_from = self.last_call.filter(|_| !exiting).map(|(number, _)| number);
        let again = self.returned.map(|(number, _)| number).or(self.last_call.and_then(interrupted));
        if let (Some(number), None) = (again, &deliver) {
            // The call was interrupted by something that no handler saw: it is made again, from its beginning.
            returned_from = None;
            for (address, before) in &self.overwritten {
                stopped.write(*address, before)?;
            }
            registers.rip -= 2;
            let original = self.restart.filter(|_| number == u64::from(nr::RESTART_SYSCALL));
            registers.rax = original.map_or(number, |(shape, _)| shape.number.into());
        }
        let (kernel, lsn) = {
            let progress = self.common.lock();
            (progress.kernel.clone(), progress.lsn)
        };
        let Self { sites, patches, file_areas, mapped, shared, .. } = self;
        let point = Point {
            stopped,
            registers,
            deliver,
            returned_from,
            kernel,
            sites,
            patches,
            file_areas,
            mapped,
            lsn,
            shared,
        };
        Ok(Some(point))
    }
}

/// The call that was interrupted by a signal of which the log does not say any more that it came, if it can be made again.
fn interrupted((number, result): (u64, i64)) -> Option<u64> {
    let done_all_the_same = [nr::CLOSE, nr::CONNECT].iter().any(|&other| number == u64::from(other));
    (result == -i64::from(libc::EINTR) && !done_all_the_same).then_some(number)
}

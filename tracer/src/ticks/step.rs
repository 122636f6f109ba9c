//! For tests: conditional branches counted by single steps. Exact, and ten thousand times slower than the program.

use common::position::Unit;
use iced_x86::FlowControl;

use super::{TickError, TickSource};
use crate::place::near::{TRAP_TRACE, decode};
use crate::signals;
use crate::sys::alarm::Interrupt;
use crate::sys::ptrace::Resume;
use crate::tracee::{Event, Stopped, TraceeError};

/// The flag by which the processor steps.
const TRAP_FLAG: u64 = 1 << 8;

#[derive(Debug, Default)]
pub(super) struct Step {
    count: u64,
}

impl Step {
    /// One step, which a signal may go before; the process where that is all that has happened.
    fn once(&mut self, stopped: Stopped, signal: i32) -> Result<Result<Stopped, Event>, TraceeError> {
        let branches = signal == 0
            && decode(&stopped, stopped.registers()?.rip)
                .is_some_and(|(instruction, _)| instruction.flow_control() == FlowControl::ConditionalBranch);
        Ok(match stopped.run(Resume::Step, signal)? {
            Event::Signal(stopped, libc::SIGTRAP) if is_step(&stopped)? => {
                self.count += u64::from(branches);
                Ok(stopped)
            }
            // The instruction has left the flags in r11, and that it was stepped among them.
            Event::Seccomp(stopped) => {
                let mut regs = stopped.registers()?;
                regs.r11 &= !TRAP_FLAG;
                stopped.set_registers(&regs)?;
                Err(Event::Seccomp(stopped))
            }
            other => Err(other),
        })
    }
}

/// Whether a SIGTRAP says that a step was made: of an instruction, to the return of a call (TRAP_BRKPT), into a handler (SIGTRAP itself).
fn is_step(stopped: &Stopped) -> Result<bool, TraceeError> {
    const TRAP_BRKPT: i32 = 1;
    Ok([TRAP_TRACE, TRAP_BRKPT, libc::SIGTRAP].contains(&signals::code(&stopped.siginfo()?)))
}

impl TickSource for Step {
    fn unit(&self) -> Unit {
        Unit::ConditionalBranches
    }

    fn skid(&self) -> u64 {
        0
    }

    fn restart(&mut self, _: &Stopped) -> Result<(), TickError> {
        self.count = 0;
        Ok(())
    }

    fn count(&mut self) -> Result<u64, TickError> {
        Ok(self.count)
    }

    fn run(
        &mut self,
        stopped: Stopped,
        signal: i32,
        interrupt: Option<&mut dyn Interrupt>,
    ) -> Result<Event, TraceeError> {
        let (mut stopped, mut signal, mut interrupt) = (stopped, signal, interrupt);
        loop {
            if signal == 0 && interrupt.as_mut().is_some_and(|interrupt| interrupt.is_due()) {
                return Ok(Event::Interrupted(stopped));
            }
            stopped = match self.once(stopped, std::mem::take(&mut signal))? {
                Ok(stopped) => stopped,
                Err(event) => return Ok(event),
            };
        }
    }

    fn step(&mut self, stopped: Stopped) -> Result<Event, TraceeError> {
        Ok(match self.once(stopped, 0)? {
            Ok(stopped) => Event::Signal(stopped, libc::SIGTRAP),
            Err(event) => event,
        })
    }

    fn advance(&mut self, mut stopped: Stopped, ticks: u64) -> Result<Event, TickError> {
        self.count = 0;
        while self.count < ticks {
            stopped = match self.once(stopped, 0)? {
                Ok(stopped) => stopped,
                // Somebody has sent it a signal, which is none of the log's.
                Err(Event::Signal(stopped, signal)) if !signals::is_fault(signal, &stopped.siginfo()?) => stopped,
                Err(event) => return Ok(event),
            };
        }
        Ok(Event::Interrupted(stopped))
    }
}

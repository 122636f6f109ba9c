//! Trapped instructions, and the patches that make them trap.

use common::ids::Lsn;
use common::kernel::Kernel;
use common::record::Record;
use tracer::instructions::{self, Trap};
use tracer::signals;
use tracer::tracee::Event;

use super::{At, Driver, ReplayError};

impl Driver {
    pub(super) fn instruction(&mut self, lsn: Lsn, record: &Record, kernel: &Kernel) -> Result<(), ReplayError> {
        let (stopped, signal) = match self.advance()? {
            Event::Signal(stopped, signal) => (stopped, signal),
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let (regs, info) = (stopped.registers()?, stopped.siginfo()?);
        match instructions::trapped(&stopped, &regs, signal, &info, &self.sites) {
            Some(trapped) if trapped.site == record.arg(0) && trapped.instruction as u16 == record.number => {
                self.registers(lsn, record, instructions::check(trapped, &regs), &regs)?;
                instructions::carry_out(&stopped, trapped, &regs)?;
                let after = instructions::apply(trapped, record, &regs);
                let (stopped, _) = signals::undo_forced(stopped, &after, signal, kernel.signals())?;
                self.at = At::Ready(stopped, 0);
                Ok(())
            }
            _ => Err(self.elsewhere(lsn, record, regs)),
        }
    }

    pub(super) fn patch(&mut self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        self.patches.learn(record);
        let trap = Trap::of(record).ok_or_else(|| {
            let expected = "a patch after which rdtsc traps as before, at its sites, or everywhere";
            self.diverged(lsn, record, expected, format!("number {}", record.number), None)
        })?;
        self.at = match self.take() {
            At::Ready(stopped, signal) => At::Ready(trap.set(stopped)?.0, signal),
            other => other,
        };
        if let At::Ready(stopped, _) = &self.at {
            for segment in &record.segments {
                stopped.write(segment.address, &segment.bytes)?;
            }
            let mut regs = stopped.registers()?;
            if let Some(moved) = self.patches.moved(regs.rip).filter(|_| record.arg(0) != 0) {
                regs.rip = moved;
                stopped.set_registers(&regs)?;
            }
        }
        if record.arg(0) == 0 {
            self.sites.add(record.segments.iter().map(|s| s.address));
        }
        self.sites.moved(record);
        Ok(())
    }
}

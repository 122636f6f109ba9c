//! Counters of the processor, and of the kernel's breakpoints, which are had alike.

use common::position::Unit;
use nix::errno::Errno;

use super::{TickError, TickSource};
use crate::signals;
use crate::sys::cpu;
use crate::sys::perf::{self, Counted, Counter};
use crate::sys::ptrace::Resume;
use crate::tracee::{Event, Stopped};

/// What a counter stops its process with. No program is sent it by anything else.
const SIGNAL: i32 = libc::SIGSTKFLT;
/// A period that does not come to its end.
const NEVER: u64 = 1 << 60;
/// Conditional branches of the trial.
const ROUNDS: u64 = 50_000;
/// What the trial may count beyond its own loop.
const AROUND: u64 = 500;

/// The event that counts retired conditional branches of a kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pmu {
    /// Event and unit mask, as PERF_TYPE_RAW has them.
    event: u64,
    /// How many branches late its interrupt may come.
    skid: u64,
}

/// The events that processors of a vendor may have, newest first (Intel SDM volume 3, BR_INST_RETIRED.COND; AMD PPR, ExRetCond).
fn candidates(vendor: &[u8]) -> &'static [Pmu] {
    const INTEL: &[Pmu] = &[Pmu { event: 0x11c4, skid: 256 }, Pmu { event: 0x01c4, skid: 256 }];
    const AMD: &[Pmu] = &[Pmu { event: 0x00d1, skid: 10_000 }];
    match vendor {
        b"GenuineIntel" => INTEL,
        b"AuthenticAMD" => AMD,
        _ => &[],
    }
}

impl Pmu {
    /// The one of this machine, after a trial: a loop of known length counts right, twice. `None` where there is none such.
    #[must_use]
    pub fn find() -> Option<Self> {
        let [_, b, c, d] = cpu::cpuid(0, 0);
        let vendor: Vec<u8> = [b, d, c].iter().flat_map(|word| word.to_le_bytes()).collect();
        candidates(&vendor).iter().copied().find(|pmu| pmu.counts_right().unwrap_or(false))
    }

    fn counts_right(self) -> Result<bool, Errno> {
        for rounds in [ROUNDS, 2 * ROUNDS] {
            let counter = Counter::open(Counted::Raw(self.event), 0, NEVER)?;
            counter.start()?;
            perf::branches(rounds);
            let count = counter.count()?;
            if !(rounds..rounds + AROUND).contains(&count) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A counter that the kernel keeps.
#[derive(Debug)]
pub(super) struct Perf {
    counted: Counted,
    unit: Unit,
    skid: u64,
    counter: Option<(i32, Counter)>,
    since: u64,
}

impl Perf {
    pub(super) fn of(pmu: Pmu) -> Self {
        Self::at(Counted::Raw(pmu.event), Unit::ConditionalBranches, pmu.skid)
    }

    pub(super) fn at(counted: Counted, unit: Unit, skid: u64) -> Self {
        Self { counted, unit, skid, counter: None, since: 0 }
    }

    fn error(&self) -> impl Fn(Errno) -> TickError + use<> {
        let unit = match self.unit {
            Unit::ConditionalBranches => "conditional branches",
            Unit::Passes(_) => "executions of an instruction",
        };
        move |errno| TickError::Counter { unit, errno }
    }
}

impl TickSource for Perf {
    fn unit(&self) -> Unit {
        self.unit
    }

    fn skid(&self) -> u64 {
        self.skid
    }

    fn restart(&mut self, stopped: &Stopped) -> Result<(), TickError> {
        let (pid, error) = (stopped.pid(), self.error());
        if self.counter.as_ref().is_none_or(|(of, _)| *of != pid) {
            let counter = Counter::open(self.counted, pid, NEVER).map_err(&error)?;
            counter.start().map_err(&error)?;
            self.counter = Some((pid, counter));
        }
        self.since = 0;
        self.since = self.count()?;
        Ok(())
    }

    fn count(&mut self) -> Result<u64, TickError> {
        let error = self.error();
        let Some((_, counter)) = &self.counter else { return Ok(0) };
        Ok(counter.count().map_err(error)?.saturating_sub(self.since))
    }

    fn advance(&mut self, stopped: Stopped, ticks: u64) -> Result<Event, TickError> {
        // One that has raised its signal counts no further: how late that is another one tells.
        self.restart(&stopped)?;
        if ticks == 0 {
            return Ok(Event::Interrupted(stopped));
        }
        let (pid, error) = (stopped.pid(), self.error());
        let mask = stopped.signal_mask()?;
        // A signal that is blocked stops nobody.
        stopped.set_signal_mask(mask & !(1 << (SIGNAL - 1)))?;
        let counter = Counter::open(self.counted, pid, ticks).map_err(&error)?;
        counter.start_until(pid, SIGNAL).map_err(&error)?;
        let mut event = stopped.run(Resume::Continue, 0)?;
        loop {
            event = match event {
                Event::Signal(stopped, SIGNAL) if signals::code(&stopped.siginfo()?) > 0 => {
                    stopped.set_signal_mask(mask)?;
                    return Ok(Event::Interrupted(stopped));
                }
                Event::Signal(stopped, signal) if !signals::is_fault(signal, &stopped.siginfo()?) => {
                    stopped.run(Resume::Continue, 0)?
                }
                other => {
                    if let Some(stopped) = other.stopped() {
                        stopped.set_signal_mask(mask)?;
                    }
                    return Ok(other);
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_without_counters_has_none() {
        match Pmu::find() {
            Some(pmu) => assert!(pmu.counts_right().expect("it was opened before")),
            None => eprintln!("no event of this processor counts conditional branches: its trial is skipped"),
        }
        assert_eq!(candidates(b"CentaurHauls"), &[]);
    }

    #[test]
    fn executions_of_an_instruction_are_counted() {
        let address = perf::branches as fn(u64) as usize as u64;
        let counter = Counter::open(Counted::Passes(address), 0, NEVER).expect("the kernel has breakpoints");
        counter.start().expect("it counts");
        let before = counter.count().expect("it can be read");
        (0..7).for_each(|_| std::hint::black_box(perf::branches as fn(u64))(3));
        assert_eq!(counter.count().expect("it can be read") - before, 7);
    }
}

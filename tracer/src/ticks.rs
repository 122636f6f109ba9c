//! Counting what the server executes: how far it is from one stop to the next.
//!
//! A count tells a replica how far it can run before it has to look where it is. It is never the judge: a position is its state
//! ([`crate::place`]), so a processor that counts one too many costs time and nothing else. A counter may stop the process late;
//! each source tells how late, and is asked to stop that much earlier. One that is later than it says is found out, and what the
//! process did is undone ([`crate::place::watch`]).

mod perf;
mod skid;
mod step;

use std::fmt;
use std::str::FromStr;

use common::position::Unit;
use nix::errno::Errno;
use thiserror::Error;

use crate::sys::alarm::Interrupt;
use crate::sys::perf::Counted;
use crate::sys::ptrace::Resume;
use crate::tracee::{Event, Stopped, TraceeError};

pub use perf::Pmu;

/// Why it cannot be counted.
#[derive(Debug, Error)]
pub enum TickError {
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// The kernel gives no counter.
    #[error("counting {unit}: {errno}")]
    Counter {
        /// What was to be counted.
        unit: &'static str,
        /// Why not.
        errno: Errno,
    },
}

/// Counts what one process executes in user mode.
pub trait TickSource: fmt::Debug + Send {
    /// What a tick is.
    fn unit(&self) -> Unit;

    /// How many ticks too late [`TickSource::advance`] may stop a process, by what is known of it.
    fn skid(&self) -> u64;

    /// Counts from where the process stands.
    ///
    /// # Errors
    /// When there is no counter to be had, or the process is gone.
    fn restart(&mut self, stopped: &Stopped) -> Result<(), TickError>;

    /// Ticks since then, or since an advance began.
    ///
    /// # Errors
    /// When the counter is lost.
    fn count(&mut self) -> Result<u64, TickError>;

    /// As [`Stopped::run_until`], counting.
    ///
    /// # Errors
    /// As [`Stopped::run_until`].
    fn run(
        &mut self,
        stopped: Stopped,
        signal: i32,
        interrupt: Option<&mut dyn Interrupt>,
    ) -> Result<Event, TraceeError> {
        stopped.run_until(Resume::Continue, signal, interrupt)
    }

    /// One instruction, counting.
    ///
    /// # Errors
    /// As [`Stopped::run`].
    fn step(&mut self, stopped: Stopped) -> Result<Event, TraceeError> {
        stopped.run(Resume::Step, 0)
    }

    /// Lets a process go on for so many ticks: [`Event::Interrupted`] then, as a rule at most [`TickSource::skid`] later. Signals
    /// that somebody sends to it are dropped.
    ///
    /// # Errors
    /// When there is no counter to be had, or the process is gone.
    fn advance(&mut self, stopped: Stopped, ticks: u64) -> Result<Event, TickError>;
}

/// Which source is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ticks {
    /// The processor's counters, where it has some that count right; otherwise none.
    #[default]
    Auto,
    /// None: state alone.
    None,
    /// For tests: single steps count conditional branches.
    Step(Skid),
    /// For tests: executions of the instruction at an address.
    Breakpoint(u64, Skid),
}

/// For tests: how late a source stops, by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skid {
    /// Ticks, at most.
    pub most: u64,
    /// What it says of that: less is a promise that it does not keep.
    pub promised: u64,
}

impl Skid {
    /// A source that keeps its promise.
    #[must_use]
    pub fn of(most: u64) -> Self {
        Self { most, promised: most }
    }
}

impl fmt::Display for Skid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { most, promised } = self;
        if most == promised { write!(f, "{most}") } else { write!(f, "{most}:{promised}") }
    }
}

impl Ticks {
    /// The source, where there is one.
    #[must_use]
    pub fn source(self) -> Option<Box<dyn TickSource>> {
        match self {
            Self::Auto => Pmu::find().map(|pmu| Box::new(perf::Perf::of(pmu)) as Box<dyn TickSource>),
            Self::None => None,
            Self::Step(skid) => Some(Box::new(skid::Late::new(step::Step::default(), skid))),
            Self::Breakpoint(address, skid) => Some(Box::new(skid::Late::new(
                perf::Perf::at(Counted::Passes(address), Unit::Passes(address), 0),
                skid,
            ))),
        }
    }
}

impl FromStr for Ticks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "there are no ticks `{text}`, expected auto, none, step:SKID[:PROMISED] or breakpoint:ADDRESS:SKID[:PROMISED]"
            )
        };
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let numbers: Result<Vec<u64>, _> = parts
            .map(|part| match part.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => part.parse(),
            })
            .collect();
        match (kind, numbers.map_err(|_| wrong())?.as_slice()) {
            ("auto", []) => Ok(Self::Auto),
            ("none", []) => Ok(Self::None),
            ("step", &[most]) => Ok(Self::Step(Skid::of(most))),
            ("step", &[most, promised]) => Ok(Self::Step(Skid { most, promised })),
            ("breakpoint", &[address, most]) => Ok(Self::Breakpoint(address, Skid::of(most))),
            ("breakpoint", &[address, most, promised]) => Ok(Self::Breakpoint(address, Skid { most, promised })),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Step(skid) => write!(f, "step:{skid}"),
            Self::Breakpoint(address, skid) => write!(f, "breakpoint:{address:#x}:{skid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let loose = Skid { most: 100, promised: 7 };
        let skids = [Skid::of(0), Skid::of(17), loose];
        let steps = skids.map(Ticks::Step).into_iter();
        let all = steps.chain(skids.map(|skid| Ticks::Breakpoint(0x1000, skid))).chain([Ticks::Auto, Ticks::None]);
        for ticks in all {
            assert_eq!(ticks.to_string().parse(), Ok(ticks));
        }
        assert_eq!("step:100:7".parse(), Ok(Ticks::Step(loose)));
        for wrong in [
            "",
            "pmu",
            "auto:1",
            "step",
            "step:",
            "step:x",
            "breakpoint:1",
            "breakpoint:1:2:3:4",
            "step:1:2:3",
            "step:-1",
        ] {
            assert!(wrong.parse::<Ticks>().is_err(), "{wrong}");
        }
    }
}

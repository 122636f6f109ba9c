//! The fast layer: code of ftrun's own inside the server's process that makes frequent calls itself and records them, or answers
//! them from the log. See docs/fast-layer.md.

pub mod calls;
pub mod code;
#[cfg(test)]
mod in_c;
pub mod layout;
pub mod patches;
mod ring;
pub mod shared;

use std::str::FromStr;
use std::time::Duration;

use layout as at;

use crate::memory_check::MemoryCheck;
use crate::ticks::Ticks;

/// Which layer takes the calls, in recording or in replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layer {
    /// The tracer takes all of them.
    Complete,
    /// The interceptor takes those that it can.
    #[default]
    Fast,
    /// For tests: some of those that the interceptor can take, chosen at random, the others go to the tracer.
    Mixed,
}

impl Layer {
    const ALL: [Self; 3] = [Self::Complete, Self::Fast, Self::Mixed];

    /// As it is typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Fast => "fast",
            Self::Mixed => "mixed",
        }
    }
}

/// Who takes the server's calls, and what becomes of a signal between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Manner {
    /// The layer.
    pub layer: Layer,
    /// What [`Layer::Mixed`] chooses by.
    pub seed: u64,
    /// How long a signal that comes between two calls waits for the second one, before it is placed; `None`: until that comes.
    pub signal_deadline: Option<Duration>,
    /// How long the server computes between two calls before the log says how far it has come; `None`: it never does.
    pub progress_interval: Option<Duration>,
    /// What counts how far the server has come.
    pub ticks: Ticks,
    /// Recording: when calls begin with a record of the server's memory.
    pub memory_check: MemoryCheck,
}

impl FromStr for Layer {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|layer| layer.name() == name);
        found.ok_or_else(|| format!("there is no layer `{name}`, expected complete, fast or mixed"))
    }
}

/// The areas of the server's memory that are ftrun's own, from its page on: first address and one past the last.
pub const OWN: [(u64, u64); 4] = [
    (crate::inject::PAGE, at::CONTROL + at::CONTROL_LEN),
    (at::MIDDLE, at::MIDDLE + at::TRAMPOLINES_LEN),
    (at::HIGH, at::HIGH + at::TRAMPOLINES_LEN),
    (at::RING, at::OUTPUT + 2 * at::OUTPUT_LEN),
];

const _: () =
    assert!(crate::inject::PAGE_END <= at::CODE && at::CODE + at::CODE_LEN <= at::LOW, "the areas stand apart");
const _: () = assert!(at::LOW + at::TRAMPOLINES_LEN <= at::CONTROL && at::HIGH + at::TRAMPOLINES_LEN <= at::RING);
const _: () = assert!(at::RING + 2 * at::RING_LEN == at::OUTPUT && at::DESCRIPTORS + at::DESCRIPTORS_LEN <= at::STACK);

/// Whether memory between `start` and `end` is ftrun's own, or some of it is.
#[must_use]
pub fn is_own(start: u64, end: u64) -> bool {
    OWN.iter().any(|&(first, last)| start < last && end > first)
}

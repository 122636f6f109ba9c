//! The fast layer: code of ftrun's own inside the server's process that makes frequent calls itself and records them, or answers
//! them from the log. See docs/fast-layer.md.

pub mod layout;
pub mod shared;

use std::str::FromStr;

/// Which layer takes the calls, in recording or in replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layer {
    /// The tracer takes all of them.
    #[default]
    Complete,
    /// The interceptor takes those that it can.
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

impl FromStr for Layer {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|layer| layer.name() == name);
        found.ok_or_else(|| format!("there is no layer `{name}`, expected complete, fast or mixed"))
    }
}

//! For tests: a source that stops late, as counters of processors do.

use common::position::Unit;

use super::{Skid, TickError, TickSource};
use crate::sys::alarm::Interrupt;
use crate::tracee::{Event, Stopped, TraceeError};

/// Stops another source's process by chance up to so many ticks later than asked.
#[derive(Debug)]
pub(super) struct Late<S> {
    source: S,
    skid: Skid,
    random: u64,
}

impl<S> Late<S> {
    pub(super) fn new(source: S, skid: Skid) -> Self {
        Self { source, skid, random: 0x9e37_79b9_7f4a_7c15 }
    }

    fn by_chance(&mut self) -> u64 {
        // xorshift64 (Marsaglia 2003).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % (self.skid.most + 1)
    }
}

impl<S: TickSource> TickSource for Late<S> {
    fn unit(&self) -> Unit {
        self.source.unit()
    }

    fn skid(&self) -> u64 {
        self.source.skid() + self.skid.promised
    }

    fn restart(&mut self, stopped: &Stopped) -> Result<(), TickError> {
        self.source.restart(stopped)
    }

    fn count(&mut self) -> Result<u64, TickError> {
        self.source.count()
    }

    fn run(
        &mut self,
        stopped: Stopped,
        signal: i32,
        interrupt: Option<&mut dyn Interrupt>,
    ) -> Result<Event, TraceeError> {
        self.source.run(stopped, signal, interrupt)
    }

    fn step(&mut self, stopped: Stopped) -> Result<Event, TraceeError> {
        self.source.step(stopped)
    }

    fn advance(&mut self, stopped: Stopped, ticks: u64) -> Result<Event, TickError> {
        let late = self.by_chance();
        self.source.advance(stopped, ticks + late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_late_by_all_that_it_may_and_not_more() {
        let mut late = Late::new((), Skid::of(3));
        let found: std::collections::BTreeSet<u64> = (0..200).map(|_| late.by_chance()).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(Late::new((), Skid::of(0)).by_chance(), 0);
    }
}

//! The server's time-stamp counter: what rdtsc and rdtscp answer, by a trap or in process.
//!
//! Where the instruction traps it traps for the interceptor as well, so that takes a clock instead, by a call: CLOCK_MONOTONIC_RAW, which runs
//! evenly, times the ticks in one of its nanoseconds. As soon as that rate is known, trapped instructions are answered by the same function of
//! the same clock. It is measured again now and then, over ever longer times: what it was wrong by is made good by going on from the higher of
//! the two counters.

use super::inside::fixed_code;
use super::{Recorder, RecordingError};
use crate::clock::now_ns;
use crate::instructions::Trapped;
use crate::interceptor::Layer;
use crate::sys::cpu;
use crate::tracee::Stopped;

/// Nanoseconds over which the rate is first measured.
const SHORTEST: u64 = 10_000_000;
/// Readings of counter and clock of which the closest counts.
const READINGS: u32 = 8;

/// The processor's counter and the clock at one moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    ticks: u64,
    nanoseconds: u64,
}

impl Moment {
    fn now() -> Self {
        let reading = |_| {
            let before = cpu::rdtsc();
            let nanoseconds = now_ns(libc::CLOCK_MONOTONIC_RAW);
            let took = cpu::rdtsc().wrapping_sub(before);
            (took, Self { ticks: before.wrapping_add(took / 2), nanoseconds })
        };
        let (_, closest) =
            (1..READINGS).map(reading).fold(reading(0), |one, other| if other.0 < one.0 { other } else { one });
        closest
    }
}

/// The counter as a function of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scale {
    /// Ticks in a nanosecond, times 2^32.
    rate: u64,
    since: u64,
    base: u64,
}

impl Scale {
    fn at(self, nanoseconds: u64) -> u64 {
        let gone = u128::from(nanoseconds.saturating_sub(self.since));
        self.base.wrapping_add(low((gone * u128::from(self.rate)) >> 32))
    }
}

fn low(wide: u128) -> u64 {
    (wide & u128::from(u64::MAX)).try_into().unwrap_or(u64::MAX)
}

/// The counter.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// Added to the processor's.
    offset: u64,
    /// Where measuring began.
    origin: Option<Moment>,
    scale: Option<Scale>,
    /// When to measure again.
    due: u64,
}

impl Counter {
    /// It does not go back behind `seen`.
    pub(super) fn continued(seen: u64) -> Self {
        Self { offset: seen.saturating_sub(cpu::rdtsc()), ..Self::default() }
    }

    /// Measures, if it is time to. Says whether the scale is another one now.
    fn measure(&mut self, now: impl FnOnce() -> Moment) -> bool {
        let now = now();
        let origin = *self.origin.get_or_insert(now);
        let gone = now.nanoseconds.saturating_sub(origin.nanoseconds);
        let ticks = now.ticks.saturating_sub(origin.ticks);
        if now.nanoseconds < self.due || gone < SHORTEST || ticks == 0 {
            return false;
        }
        let rate = low((u128::from(ticks) << 32) / u128::from(gone));
        let real = now.ticks.wrapping_add(self.offset);
        let base = self.scale.map_or(real, |scale| scale.at(now.nanoseconds).max(real));
        self.scale = Some(Scale { rate, since: now.nanoseconds, base });
        self.due = now.nanoseconds.saturating_add(gone);
        true
    }

    /// What it is now.
    fn value(&self) -> u64 {
        match self.scale {
            Some(scale) => scale.at(now_ns(libc::CLOCK_MONOTONIC_RAW)),
            None => cpu::rdtsc().wrapping_add(self.offset),
        }
    }
}

impl Recorder<'_> {
    /// The interceptor answers as this replica does, once it knows the rate.
    pub(super) fn start_counter(&mut self) {
        self.counter.measure(Moment::now);
        let seen = self.kernel().tsc();
        if let Some(inside) = &self.inside {
            let _ = inside.shared.raise_counter(seen);
        }
        self.tell_counter();
    }

    fn tell_counter(&self) {
        if let Some(inside) = &self.inside {
            let (rate, since, base) = self.counter.scale.map_or((0, 0, 0), |it| (it.rate, it.since, it.base));
            let (_, aux) = cpu::rdtscp();
            inside.shared.set_counter(rate, since, base, aux);
        }
    }

    /// The rate is measured again where somebody needs it, while the server stands.
    pub(super) fn refresh_counter(&mut self) {
        let needed = self.inside.as_ref().is_some_and(|inside| inside.patches.has_counters());
        if needed && now_ns(libc::CLOCK_MONOTONIC_RAW) >= self.counter.due && self.counter.measure(Moment::now) {
            self.tell_counter();
        }
    }

    /// What rdtsc answers now, and rdtscp besides. It is never below what the server has seen.
    pub(super) fn read_counter(&self) -> (u64, u32) {
        let (_, aux) = cpu::rdtscp();
        let value = self.counter.value().max(self.kernel().tsc());
        (self.inside.as_ref().map_or(value, |inside| inside.shared.raise_counter(value)), aux)
    }

    /// An rdtsc or rdtscp has trapped, and the process stands behind it: from now on it goes to the interceptor, if it has trapped often.
    pub(super) fn patch_counter(&mut self, stopped: &Stopped, trapped: Trapped) -> Result<(), RecordingError> {
        let Some(inside) = &mut self.inside else { return Ok(()) };
        if inside.layer == Layer::Complete || !inside.patches.trapped(trapped.site, trapped.len) {
            return Ok(());
        }
        if self.counter.scale.is_none() {
            // Too early to know the rate: at the next trap.
            if !self.counter.measure(Moment::now) {
                return Ok(());
            }
            self.tell_counter();
        }
        let (Some(inside), behind) = (&mut self.inside, trapped.site + trapped.len) else { return Ok(()) };
        let area = if inside.chooses() { fixed_code(stopped, &self.file_areas, trapped.site) } else { None };
        let Some(area) = area else {
            inside.patches.leave(behind);
            return Ok(());
        };
        match inside.patches.plan_counter(stopped, area, trapped.site, trapped.len) {
            Some(record) => {
                self.sites.moved(&record);
                self.make_patch(stopped, behind, &record)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GHZ: u64 = 3;

    fn at(nanoseconds: u64, wrong_by: i64) -> Moment {
        Moment {
            ticks: 1_000_000 + (nanoseconds * GHZ).wrapping_add_signed(wrong_by),
            nanoseconds: 5_000 + nanoseconds,
        }
    }

    fn measured(counter: &mut Counter, moment: Moment) -> bool {
        counter.measure(|| moment)
    }

    fn value(counter: &Counter, nanoseconds: u64) -> u64 {
        counter.scale.expect("it was measured").at(5_000 + nanoseconds)
    }

    #[test]
    fn the_rate_is_known_after_a_while_and_better_later() {
        let mut counter = Counter { offset: 7, ..Counter::default() };
        assert!(!measured(&mut counter, at(0, 0)));
        assert!(!measured(&mut counter, at(SHORTEST - 1, 0)), "too short");
        // A reading that came 300 ticks late.
        assert!(measured(&mut counter, at(SHORTEST, 300)));
        assert_eq!(value(&counter, SHORTEST), 1_000_007 + SHORTEST * GHZ + 300);
        assert!(!measured(&mut counter, at(2 * SHORTEST - 1, 0)), "not yet");
        let before = value(&counter, 2 * SHORTEST);
        assert!(measured(&mut counter, at(2 * SHORTEST, 0)));
        assert_eq!(value(&counter, 2 * SHORTEST), before, "it does not go back to the processor's");
        let rate = counter.scale.expect("it was measured").rate;
        assert_eq!(rate, GHZ << 32);
        assert!(measured(&mut counter, at(4 * SHORTEST, 5_000)));
        assert_eq!(value(&counter, 4 * SHORTEST), 1_000_007 + 4 * SHORTEST * GHZ + 5_000, "but on to it");
    }

    #[test]
    fn a_processor_whose_counter_stands_is_not_measured() {
        let mut counter = Counter::default();
        let stands = |nanoseconds| Moment { ticks: 9, nanoseconds };
        assert!(!measured(&mut counter, stands(0)) && !measured(&mut counter, stands(10 * SHORTEST)));
    }

    #[test]
    fn a_year_is_no_overflow() {
        let scale = Scale { rate: 5 << 32, since: 10, base: 3 };
        let year = 365 * 86_400 * 1_000_000_000;
        assert_eq!(scale.at(year + 10), 5 * year + 3);
        assert_eq!(scale.at(0), 3, "a clock that went back");
    }

    #[test]
    fn the_counter_goes_on_behind_what_was_seen() {
        let seen = cpu::rdtsc() + (1 << 50);
        assert!(Counter::continued(seen).value() >= seen);
        assert_eq!(Counter::continued(0).offset, 0);
    }
}

//! How the two ends of a ring find each other: one producer, one consumer, positions that only grow, and two bells.
//!
//! Who finds nothing to do says that it sleeps, looks once more, and sleeps until its bell is rung; the other side moves its
//! position, looks whether anybody sleeps, and rings. Between the two steps of either side stands a full fence: one of them
//! sees what the other has written, so that no ring is lost.
//!
//! The interceptor's end is in C (ring.h, record.h); its steps are repeated in the tests of this module, which try all
//! interleavings.

use std::time::Duration;

/// A ring of the shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ring {
    /// Records and marks.
    Records,
    /// Output of a replay.
    Output,
}

/// What a side sleeps on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bell {
    /// There is something in the ring of records.
    Filled,
    /// There is room in a ring.
    Drained,
}

/// The words of the shared memory. Loads acquire, stores release.
pub(super) trait Words {
    /// Bytes ever put into a ring.
    fn head(&self, ring: Ring) -> u64;
    /// Moves it.
    fn set_head(&self, ring: Ring, position: u64);
    /// How many of those in the ring of records, put in by the interceptor, its consumer has been told of.
    fn told(&self) -> u64;
    /// Bytes ever taken from a ring.
    fn tail(&self, ring: Ring) -> u64;
    /// Moves it.
    fn set_tail(&self, ring: Ring, position: u64);
    /// Whether somebody sleeps until a bell is rung, or is about to.
    fn sleeps(&self, bell: Bell) -> bool;
    /// Says so.
    fn set_sleeps(&self, bell: Bell, sleeps: bool);
    /// How often a bell was rung.
    fn rung(&self, bell: Bell) -> u32;
    /// Rings it: who sleeps wakes.
    fn ring(&self, bell: Bell);
    /// Sleeps unless the bell was rung more often than `rung`; for `patience` at most.
    fn sleep(&self, bell: Bell, rung: u32, patience: Duration);
    /// A full fence.
    fn fence(&self);
}

/// Bytes in a ring of `size` bytes.
pub(super) fn filled(words: &impl Words, ring: Ring, size: u64) -> u64 {
    // What a server gone wild writes there must not be believed.
    words.head(ring).wrapping_sub(words.tail(ring)).min(size)
}

/// The consumer has taken so many bytes.
pub(super) fn took(words: &impl Words, ring: Ring, bytes: u64) {
    words.set_tail(ring, words.tail(ring).wrapping_add(bytes));
    words.fence();
    if words.sleeps(Bell::Drained) {
        words.ring(Bell::Drained);
    }
}

/// The producer has put so many bytes in, and they are for the consumer at once.
pub(super) fn put(words: &impl Words, ring: Ring, bytes: u64) {
    words.set_head(ring, words.head(ring).wrapping_add(bytes));
    words.fence();
    if words.sleeps(Bell::Filled) {
        words.ring(Bell::Filled);
    }
}

/// The consumer has taken what was there: it sleeps until it is told of more, or `much` is there, or `patience` ends. What the server is in the middle
/// of is not worth a look before: who reads the lines that it writes slows it down, and a frame for each output costs more than the output.
/// `stop` says that the consumer is not to sleep; who makes it true rings [`Bell::Filled`] afterwards.
pub(super) fn sleep_until_filled(words: &impl Words, patience: Duration, much: u64, stop: impl Fn() -> bool) {
    let rung = words.rung(Bell::Filled);
    words.set_sleeps(Bell::Filled, true);
    words.fence();
    let tail = words.tail(Ring::Records);
    let there = words.head(Ring::Records).wrapping_sub(tail);
    let told = words.told().wrapping_sub(tail).cast_signed() > 0;
    if !told && there < much && !stop() {
        words.sleep(Bell::Filled, rung, patience);
    }
    words.set_sleeps(Bell::Filled, false);
}

#[cfg(test)]
mod tests;

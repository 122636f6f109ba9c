//! Reproducible randomness: the same seed gives the same test.

use std::hash::{BuildHasher as _, RandomState};

use anyhow::{Context, Result};

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent generator for part number `index` of what this seed decides.
    pub(crate) fn part(seed: u64, index: u64) -> Self {
        let mut whole = Self(seed ^ index.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self(whole.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index into something of `length` items, which is not 0.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }

    /// A length: mostly up to `usual`, one time in sixteen up to `rare`.
    pub(crate) fn length(&mut self, usual: usize, rare: usize) -> usize {
        let bound = if self.below(16) == 0 { rare } else { usual };
        1 + self.index(bound)
    }

    /// Letters and digits.
    pub(crate) fn word(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).map(|_| char::from(ALPHABET[self.index(ALPHABET.len())])).collect()
    }

    /// Any bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }
}

/// The seed of a test: `FTRUN_SEED`, or a new one.
pub(crate) fn seed() -> Result<u64> {
    match std::env::var("FTRUN_SEED") {
        Ok(text) => text.parse().context("FTRUN_SEED is not a number"),
        // Small enough that the seeds of all iterations are one addition away.
        Err(_) => Ok(RandomState::new().hash_one("seed") >> 16),
    }
}

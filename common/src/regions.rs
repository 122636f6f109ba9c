//! Digests of a process's memory, one for each set of regions: two states that differ are told apart by the first set that does, without
//! the others.

use crate::digest::Digest;

/// Sets of regions.
pub const SETS: usize = 256;
/// Words of the map of sets that have a digest.
const MAP_WORDS: usize = SETS / 64;
/// A region has 256 KiB; every [`SETS`]th one belongs to the same set.
const REGION_SHIFT: u32 = 18;

/// The set that an address belongs to.
#[must_use]
pub fn set_of(address: u64) -> usize {
    usize::try_from(address >> REGION_SHIFT & (SETS as u64 - 1)).unwrap_or(0)
}

/// How many bytes from `address` on belong to the same region.
#[must_use]
pub fn rest_of_region(address: u64) -> u64 {
    (1 << REGION_SHIFT) - (address & ((1 << REGION_SHIFT) - 1))
}

/// A digest for each set of regions; 0 for one in which nothing is but zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions(Box<[u64; SETS]>);

impl Default for Regions {
    fn default() -> Self {
        Self(Box::new([0; SETS]))
    }
}

impl Regions {
    /// Adds a page that is not all zeros. The order of the pages of a set matters.
    pub fn add(&mut self, address: u64, page: &[u8]) {
        let of_set = &mut self.0[set_of(address)];
        let mut digest = if *of_set == 0 { Digest::new() } else { Digest::resumed(*of_set) };
        digest.word(address);
        digest.bytes(page);
        *of_set = digest.finish();
    }

    /// The digest of one set.
    #[must_use]
    pub fn of(&self, set: usize) -> u64 {
        self.0.get(set).copied().unwrap_or(0)
    }

    /// The first set that differs.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Option<usize> {
        self.0.iter().zip(other.0.iter()).position(|(one, other)| one != other)
    }

    /// As words: a bit for each set whose digest is not 0, the lowest first, then those digests.
    #[must_use]
    pub fn to_words(&self) -> Vec<u64> {
        let map = self.0.chunks(64).map(|chunk| {
            chunk.iter().enumerate().fold(0, |map, (bit, digest)| if *digest == 0 { map } else { map | 1 << bit })
        });
        map.chain(self.0.iter().copied().filter(|digest| *digest != 0)).collect()
    }

    /// From the beginning of these words, and the words behind; `None` where they are too few, or a digest is 0.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Option<(Self, &[u64])> {
        let (map, mut rest) = words.split_at_checked(MAP_WORDS)?;
        let mut regions = Self::default();
        for (set, digest) in regions.0.iter_mut().enumerate() {
            if map[set / 64] >> (set % 64) & 1 == 1 {
                let (first, behind) = rest.split_first()?;
                if *first == 0 {
                    return None;
                }
                (*digest, rest) = (*first, behind);
            }
        }
        Some((regions, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_seen_in_its_set_only() {
        let mut page = [7; 4096];
        let mut one = Regions::default();
        one.add(0x7fff_0000_0000, &page);
        one.add(0x0040_0000, &page);
        let mut other = Regions::default();
        other.add(0x7fff_0000_0000, &page);
        page[4095] ^= 1;
        other.add(0x0040_0000, &page);
        assert_eq!(one.differs(&other), Some(set_of(0x0040_0000)));
        assert_eq!(one.of(set_of(0x7fff_0000_0000)), other.of(set_of(0x7fff_0000_0000)));
        assert_eq!(one.differs(&one.clone()), None);
    }

    #[test]
    fn regions_end_where_the_next_set_begins() {
        for address in [0, 4096, (1 << 18) - 4096, 1 << 18, 0x7fff_ffff_f000] {
            let last = address + rest_of_region(address) - 1;
            assert_eq!(set_of(address), set_of(last));
            assert_ne!(set_of(address), set_of(last + 1));
        }
    }

    #[test]
    fn words_come_back() {
        let mut regions = Regions::default();
        assert_eq!(Regions::from_words(&regions.to_words()), Some((regions.clone(), &[][..])));
        for address in [0u64, 63 << 18, 64 << 18, 255 << 18, 256 << 18] {
            regions.add(address, &[1; 16]);
            let mut words = regions.to_words();
            assert_eq!(Regions::from_words(&words[..words.len() - 1]), None);
            words.push(9);
            assert_eq!(Regions::from_words(&words), Some((regions.clone(), &[9][..])));
            words[MAP_WORDS] = 0;
            assert_eq!(Regions::from_words(&words), None);
        }
        assert_eq!(Regions::from_words(&[0; MAP_WORDS - 1]), None);
    }
}

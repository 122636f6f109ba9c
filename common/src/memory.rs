//! What a [`crate::record::Kind::Memory`] record says of the server's memory: which pages are not zeros, and a digest of each.
//!
//! Pages of zeros do not count: whether one was ever touched is nothing that the server could see. Of the digest of a page, 64
//! bits, all go into the record's check, and the lower 32 into its segment: those only serve to name the page that differs.
//!
//! ```text
//! run       u64 address of its first page, plus the number of pages (1 to 4096) - 1
//!           u32 for each page: the lower half of its digest
//!           zeros up to a multiple of 8
//! page(b)   four digests, of the words 0, 4, 8 ..., 1, 5, 9 ..., 2, 6, 10 ... and 3, 7, 11 ... of blocks of 16 bytes
//!           a digest with those four as words
//! check     for each page, ascending: word(address), word(page)
//! ```

use thiserror::Error;

use crate::digest::Digest;

/// Bytes of a page.
pub const PAGE: usize = 4096;
const MAX_RUN: usize = 4096;

/// Which memory is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Scope {
    /// All that the server can write, but for its stack.
    Writable = 0,
    /// All that it can read, but for its stack: its code as well.
    Readable = 1,
    /// As [`Scope::Writable`], but for what is shared. The record has no pages: they follow ([`Scope::Private`]).
    Announced = 2,
    /// The pages of the last record that announced them.
    Private = 3,
}

impl Scope {
    /// Reads the number of a record.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        match number {
            0 => Some(Self::Writable),
            1 => Some(Self::Readable),
            2 => Some(Self::Announced),
            3 => Some(Self::Private),
            _ => None,
        }
    }
}

/// The digests of pages, by address, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pages {
    pages: Vec<(u64, u32)>,
    check: Digest,
}

/// Why bytes are no such list.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a list of pages is malformed at byte {at}: {what}")]
pub struct PagesError {
    /// Where.
    pub at: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// The digest of one page.
#[must_use]
pub fn page_digest(page: &[u8; PAGE]) -> u64 {
    let mut lanes = [Digest::new(); 4];
    let (groups, _) = page.as_chunks::<64>();
    for group in groups {
        let (blocks, _) = group.as_chunks::<16>();
        for (lane, block) in lanes.iter_mut().zip(blocks) {
            lane.block_of(block);
        }
    }
    let mut digest = Digest::new();
    lanes.into_iter().for_each(|lane| digest.word(lane.finish()));
    digest.finish()
}

/// Whether it holds nothing but zeros.
#[must_use]
pub fn is_zero(page: &[u8; PAGE]) -> bool {
    let (groups, _) = page.as_chunks::<64>();
    groups.iter().all(|group| *group == [0; 64])
}

impl Pages {
    /// Adds a page behind all others, unless it is zero.
    pub fn add(&mut self, address: u64, page: &[u8; PAGE]) {
        if is_zero(page) {
            return;
        }
        let digest = page_digest(page);
        self.check.word(address);
        self.check.word(digest);
        self.pages.push((address, lower(digest)));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The check of the record.
    #[must_use]
    pub fn check(&self) -> u64 {
        self.check.finish()
    }

    /// As it stands in a segment.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let follows = |one: &(u64, u32), other: &(u64, u32)| other.0 == one.0.wrapping_add(PAGE as u64);
        for run in self.pages.chunk_by(follows).flat_map(|run| run.chunks(MAX_RUN)) {
            let Some((first, _)) = run.first() else { continue };
            out.extend((first + run.len() as u64 - 1).to_le_bytes());
            run.iter().for_each(|(_, digest)| out.extend(digest.to_le_bytes()));
            out.resize(out.len().next_multiple_of(8), 0);
        }
        out
    }

    /// The pages of a segment: addresses and lower halves of digests, ascending.
    ///
    /// # Errors
    /// When the bytes are malformed.
    pub fn decode(bytes: &[u8]) -> Result<Vec<(u64, u32)>, PagesError> {
        let mut pages: Vec<(u64, u32)> = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let wrong = |what| PagesError { at, what };
            let head = bytes[at..].first_chunk::<8>().ok_or(wrong("it ends within an address"))?;
            let head = u64::from_le_bytes(*head);
            let count = usize::try_from(head % PAGE as u64).unwrap_or(MAX_RUN) + 1;
            let first = head - head % PAGE as u64;
            let length = (8 + 4 * count).next_multiple_of(8);
            let run = bytes.get(at + 8..at + length).ok_or(wrong("it ends within a run"))?;
            if pages.last().is_some_and(|(last, _)| *last >= first) {
                return Err(wrong("its addresses do not ascend"));
            }
            if first.checked_add((count * PAGE) as u64).is_none() {
                return Err(wrong("a run reaches beyond all addresses"));
            }
            let (digests, padding) = run.split_at(4 * count);
            if padding.iter().any(|&byte| byte != 0) {
                return Err(wrong("its padding is not zero"));
            }
            let (digests, _) = digests.as_chunks::<4>();
            let addresses = (first..).step_by(PAGE);
            pages.extend(addresses.zip(digests).map(|(address, digest)| (address, u32::from_le_bytes(*digest))));
            at += length;
        }
        Ok(pages)
    }

    /// The first page in which it is not as a decoded segment says.
    #[must_use]
    pub fn first_difference(&self, other: &[(u64, u32)]) -> Option<u64> {
        let differs =
            self.pages.iter().zip(other).find(|(one, other)| one != other).map(|(one, other)| one.0.min(other.0));
        let more = || {
            let common = self.pages.len().min(other.len());
            self.pages.get(common).or(other.get(common)).map(|(address, _)| *address)
        };
        differs.or_else(more)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn lower(digest: u64) -> u32 {
    digest as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(seed: u8) -> [u8; PAGE] {
        std::array::from_fn(|at| seed.wrapping_add((at % 251).to_le_bytes()[0]))
    }

    fn pages(list: &[(u64, u8)]) -> Pages {
        let mut pages = Pages::default();
        list.iter().for_each(|&(address, seed)| pages.add(address * PAGE as u64, &page(seed)));
        pages
    }

    #[test]
    fn every_bit_of_a_page_matters() {
        let whole = page(3);
        for at in 0..PAGE {
            for bit in 0..8 {
                let mut other = whole;
                other[at] ^= 1 << bit;
                assert_ne!(page_digest(&other), page_digest(&whole), "bit {bit} of byte {at}");
            }
        }
        for at in (0..PAGE - 16).step_by(16) {
            let mut other = whole;
            other[at..at + 32].rotate_left(16);
            assert_ne!(page_digest(&other), page_digest(&whole), "the blocks from {at} on change places");
        }
    }

    #[test]
    fn it_comes_back_from_its_bytes() {
        let mut list: Vec<(u64, u8)> = (10..10_000u64).map(|at| (at, at.to_le_bytes()[0])).collect();
        list.extend([(20_000, 1), (20_002, 2), (20_003, 3), (u64::MAX / PAGE as u64 - 1, 4)]);
        let all = pages(&list);
        assert_eq!(Pages::decode(&all.encode()), Ok(all.pages.clone()));
        assert_eq!(all.encode().len() % 8, 0);
        assert!(Pages::decode(&[]).unwrap().is_empty() && Pages::default().encode().is_empty());
    }

    #[test]
    fn pages_of_zeros_do_not_count() {
        let mut with = pages(&[(1, 7)]);
        with.add(2 * PAGE as u64, &[0; PAGE]);
        assert_eq!(with, pages(&[(1, 7)]));
        for at in 0..PAGE {
            let mut one = [0; PAGE];
            one[at] = 1;
            assert!(!is_zero(&one), "byte {at}");
        }
    }

    #[test]
    fn the_first_difference_is_named() {
        let logged = Pages::decode(&pages(&[(1, 1), (2, 2), (5, 5)]).encode()).unwrap();
        let found = |list: &[(u64, u8)]| pages(list).first_difference(&logged).map(|at| at / PAGE as u64);
        assert_eq!(found(&[(1, 1), (2, 2), (5, 5)]), None);
        assert_eq!(found(&[(1, 1), (2, 3), (5, 5)]), Some(2));
        assert_eq!(found(&[(1, 1), (5, 5)]), Some(2));
        assert_eq!(found(&[(1, 1), (2, 2), (3, 2), (5, 5)]), Some(3));
        assert_eq!(found(&[(1, 1), (2, 2)]), Some(5));
        assert_eq!(found(&[(1, 1), (2, 2), (5, 5), (9, 9)]), Some(9));
    }

    #[test]
    fn where_and_what_a_page_is_goes_into_the_check() {
        let check = |list| pages(list).check();
        assert_ne!(check(&[(1, 1)]), check(&[(2, 1)]));
        assert_ne!(check(&[(1, 1)]), check(&[(1, 2)]));
        assert_ne!(check(&[(1, 1)]), check(&[(1, 1), (2, 1)]));
        assert_eq!(check(&[]), Digest::new().finish());
    }

    #[test]
    fn malformed_bytes_are_refused() {
        let good = pages(&[(1, 1), (3, 3)]).encode();
        let what = |bytes: &[u8]| Pages::decode(bytes).map_err(|error| error.what);
        assert_eq!(what(&good[..4]), Err("it ends within an address"));
        assert_eq!(what(&good[..12]), Err("it ends within a run"));
        let backwards = [&good[16..], &good[..16]].concat();
        assert_eq!(what(&backwards), Err("its addresses do not ascend"));
        let mut padded = good.clone();
        padded[15] = 1;
        assert_eq!(what(&padded), Err("its padding is not zero"));
        let mut far = good;
        far[16..24].copy_from_slice(&(u64::MAX - 4094).to_le_bytes());
        far.extend([0; 8]);
        assert_eq!(what(&far), Err("a run reaches beyond all addresses"));
    }
}

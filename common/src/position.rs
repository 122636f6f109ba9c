//! A point between two calls of the server, told by its state.
//!
//! Two points with the same registers and the same memory, and no input between them, have the same future: either is a right
//! place for what happened at the other. So a position needs no counter of instructions; a replica that comes to a state that is the
//! recorded one is there.

use thiserror::Error;

use crate::regions::Regions;

/// The registers of a position, in this order: rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8 to r15, rip, rflags, the bases of fs and
/// gs.
pub const REGISTERS: usize = 20;
/// Index of rip.
pub const RIP: usize = 16;
/// Index of rflags.
pub const FLAGS: usize = 17;
/// Most words of memory that a position holds.
pub const MAX_WORDS: usize = 32;
/// Most pages that a position holds.
pub const MAX_PAGES: usize = 24;
/// Bytes of a page.
pub const PAGE_LEN: usize = 4096;
/// What a tick is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A conditional branch that was retired, taken or not.
    ConditionalBranches,
    /// An execution of the instruction at this address.
    Passes(u64),
}

/// How far a position is from the stop before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticks {
    /// What was counted.
    pub unit: Unit,
    /// How many, from where the record before this one left the server.
    pub count: u64,
}

/// A point of the server's execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// As [`REGISTERS`] says. Of the flags, trap and resume are 0.
    pub registers: [u64; REGISTERS],
    /// Digest of the extended state: x87, vectors.
    pub extended: u64,
    /// Digests of all memory that the server can write.
    pub memory: Regions,
    /// Words of memory that were written shortly before, address and content: what tells the rounds of a loop apart
    /// without a look at all memory. Ascending addresses.
    pub words: Vec<(u64, u64)>,
    /// The pages of those words, address and content: where another round of a loop has the same words, more of them are found
    /// here. Ascending addresses.
    pub pages: Vec<(u64, Vec<u8>)>,
    /// How far it is, if that was counted. A replica need not look where it is before it has come so far.
    pub ticks: Option<Ticks>,
}

/// Why bytes are no position.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum PositionError {
    /// The length does not fit.
    #[error(
        "a position of {found} bytes, expected {REGISTERS} registers, four words, digests of memory, at most {MAX_WORDS} words and at most {MAX_PAGES} pages"
    )]
    Length {
        /// Bytes there.
        found: usize,
    },
    /// The words or pages are not in order.
    #[error("the words or the pages of a position are not in ascending order")]
    Order,
}

const NO_UNIT: u64 = 0;
const BRANCHES: u64 = 1;
/// Words that a page takes: its address, its content.
const PAGE_WORDS: usize = 1 + PAGE_LEN / 8;

impl Position {
    /// Its bytes: the registers, the unit of ticks (0 none, 1 conditional branches, else an address), their number, the digest of the
    /// extended state, the number of words, the digests of memory ([`Regions::to_words`]), then
    /// address and content of each word and each page; little endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (unit, count) = match self.ticks {
            None => (NO_UNIT, 0),
            Some(Ticks { unit: Unit::ConditionalBranches, count }) => (BRANCHES, count),
            Some(Ticks { unit: Unit::Passes(address), count }) => (address, count),
        };
        let fixed = self.registers.iter().copied().chain([unit, count, self.extended, self.words.len() as u64]);
        let words = self.words.iter().flat_map(|&(address, content)| [address, content]);
        let mut bytes: Vec<u8> = fixed.chain(self.memory.to_words()).chain(words).flat_map(u64::to_le_bytes).collect();
        for (address, content) in &self.pages {
            bytes.extend_from_slice(&address.to_le_bytes());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    /// Reads them.
    ///
    /// # Errors
    /// When the length or the order of words or pages is not that of a position.
    pub fn decode(bytes: &[u8]) -> Result<Self, PositionError> {
        let wrong = PositionError::Length { found: bytes.len() };
        let (numbers, odd) = bytes.as_chunks::<8>();
        if !odd.is_empty() {
            return Err(wrong);
        }
        let numbers: Vec<u64> = numbers.iter().copied().map(u64::from_le_bytes).collect();
        let (&registers, rest) = numbers.split_first_chunk::<REGISTERS>().ok_or(wrong)?;
        let (&[unit, ticks, extended, count], rest) = rest.split_first_chunk::<4>().ok_or(wrong)?;
        let ticks = match unit {
            NO_UNIT => None,
            BRANCHES => Some(Ticks { unit: Unit::ConditionalBranches, count: ticks }),
            address => Some(Ticks { unit: Unit::Passes(address), count: ticks }),
        };
        let (memory, rest) = Regions::from_words(rest).ok_or(wrong)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_WORDS).ok_or(wrong)?;
        let (words, pages) = rest.split_at_checked(2 * count).ok_or(wrong)?;
        if !pages.len().is_multiple_of(PAGE_WORDS) || pages.len() / PAGE_WORDS > MAX_PAGES {
            return Err(wrong);
        }
        let words: Vec<(u64, u64)> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let content = |page: &[u64]| page.iter().flat_map(|word| word.to_le_bytes()).collect();
        let pages: Vec<(u64, Vec<u8>)> =
            pages.chunks_exact(PAGE_WORDS).map(|page| (page[0], content(&page[1..]))).collect();
        let unordered = words.windows(2).any(|pair| pair[0].0 >= pair[1].0);
        if unordered || pages.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(PositionError::Order);
        }
        Ok(Self { registers, extended, memory, words, pages, ticks })
    }

    /// Its instruction pointer.
    #[must_use]
    pub fn rip(&self) -> u64 {
        self.registers[RIP]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(words: &[(u64, u64)]) -> Position {
        let mut registers = [0; REGISTERS];
        for (at, register) in registers.iter_mut().enumerate() {
            *register = 0x1111 * at as u64;
        }
        let mut memory = Regions::default();
        memory.add(0x7fff_ffff_e000, &[3; PAGE_LEN]);
        Position { registers, extended: 5, memory, words: words.to_vec(), pages: Vec::new(), ticks: None }
    }

    fn pages(addresses: &[u64]) -> Vec<(u64, Vec<u8>)> {
        addresses.iter().map(|&at| (at, vec![(at >> 12 & 0xff) as u8; PAGE_LEN])).collect()
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for words in [&[][..], &[(8, 1)], &[(8, 1), (16, 2), (4096, u64::MAX)]] {
            for addresses in [&[][..], &[4096], &[4096, 8192, 1 << 40]] {
                for unit in [None, Some(Unit::ConditionalBranches), Some(Unit::Passes(0x40_1000))] {
                    let ticks = unit.map(|unit| Ticks { unit, count: 77 });
                    let position = Position { pages: pages(addresses), ticks, ..position(words) };
                    assert_eq!(Position::decode(&position.encode()), Ok(position));
                }
            }
        }
    }

    #[test]
    fn other_lengths_and_orders_are_refused() {
        let whole = Position { pages: pages(&[4096, 8192]), ..position(&[(8, 1), (16, 2)]) };
        let bytes = whole.encode();
        // Whole pages may be cut off.
        let whole = |len: &usize| (bytes.len() - len).is_multiple_of(8 * PAGE_WORDS);
        for len in (0..bytes.len()).filter(|len| !whole(len)) {
            assert_eq!(Position::decode(&bytes[..len]), Err(PositionError::Length { found: len }));
        }
        let many: Vec<(u64, u64)> = (0..=MAX_WORDS as u64).map(|at| (8 * at, at)).collect();
        assert!(matches!(Position::decode(&position(&many).encode()), Err(PositionError::Length { .. })));
        let many: Vec<u64> = (1..=MAX_PAGES as u64 + 1).map(|at| at << 12).collect();
        let many = Position { pages: pages(&many), ..position(&[]) };
        assert!(matches!(Position::decode(&many.encode()), Err(PositionError::Length { .. })));
        for addresses in [[8192, 4096], [4096, 4096]] {
            let position = Position { pages: pages(&addresses), ..position(&[]) };
            assert_eq!(Position::decode(&position.encode()), Err(PositionError::Order));
        }
        for words in [[(16, 1), (8, 2)], [(8, 1), (8, 1)]] {
            assert_eq!(Position::decode(&position(&words).encode()), Err(PositionError::Order));
        }
    }
}

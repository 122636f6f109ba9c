//! The digest of a record's check: the same function in the server's process and in its tracer.
//!
//! What writes a record in process is freestanding code that must leave vector registers alone, so the digest needs general
//! registers only: one multiplication of 64 by 64 bits for each 16 bytes. It finds accidents, not forgeries. The state is a
//! u64 that begins as [`SEED`]; all arithmetic is modulo 2^64 unless said otherwise:
//!
//! ```text
//! fold(x, y)  p = x * y in 128 bits; the lower half of p, xor its upper half
//! word(v)     state = fold(state ^ v ^ A, rotl(state, 32) ^ B)
//! bytes(b)    for each whole block of 16 bytes, x and y its halves as little-endian u64:
//!                 state = fold(state ^ x ^ A, rotl(state, 32) ^ y ^ B)
//!             the rest, if there is one, as one more block with zeros behind it
//!             word(length of b ^ C)
//! finish()    state
//! ```
//!
//! A check begins with the registers of the process, [`Digest::of_registers`]: four folds that do not wait for each other.
//!
//! ```text
//! pair(i)         r[i] ^ rotl(r[i + 1], 29)
//! registers(r)    SEED ^ fold(pair(0) ^ A, pair(2) ^ B) ^ fold(pair(4) ^ rotl(A, 8), pair(6) ^ rotl(B, 8))
//!                 ^ fold(pair(8) ^ rotl(A, 16), pair(10) ^ rotl(B, 16)) ^ fold(r[12] ^ rotl(A, 24), r[13] ^ rotl(B, 24))
//! ```
//!
//! A factor of 0 makes the state 0 and lets the other factor be forgotten. It is no trap: from 0 the next step leads to
//! another state for another input. `state ^ v ^ A` is 0 for one `v` of 2^64, which no other `v` gives by this way, and the
//! other factors for one state, or half block, of 2^64: as often as any two inputs agree by chance.

/// The state at the beginning.
pub const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// Goes into the first factor.
pub const A: u64 = 0xa076_1d64_78bd_642f;
/// Goes into the second factor.
pub const B: u64 = 0xe703_7ed1_a0b4_28db;
/// Goes into the length of a run of bytes.
pub const C: u64 = 0x8ebc_6af0_9c88_c6e3;

/// The registers that a check holds, in its order: rdi, rsi, rdx, r10, r8, r9, rbx, rbp, r12 to r15, rip, rsp. Of a call they are
/// those that the server has at its `syscall` instruction, rip behind it.
///
/// rcx and r11 are not among them: a call leaves its own address and flags there. Nor are flags: some are undefined after
/// some instructions, and differ between processors.
pub const REGISTERS: usize = 14;

/// A digest under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a product are what is wanted")]
const fn fold(x: u64, y: u64) -> u64 {
    let product = (x as u128) * (y as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

fn half(block: &[u8; 16], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&block[at..at + 8]);
    u64::from_le_bytes(word)
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl Digest {
    /// Of nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(SEED)
    }

    /// Of the registers of a process, in the order of [`REGISTERS`].
    #[must_use]
    pub fn of_registers(registers: &[u64; REGISTERS]) -> Self {
        let pair = |index: usize| registers[index] ^ registers[index + 1].rotate_left(29);
        let pairs = [(pair(0), pair(2)), (pair(4), pair(6)), (pair(8), pair(10)), (registers[12], registers[13])];
        let folds = pairs.iter().zip([0, 8, 16, 24]);
        Self(folds.fold(SEED, |state, (&(x, y), by)| state ^ fold(x ^ A.rotate_left(by), y ^ B.rotate_left(by))))
    }

    /// The check of a call that was refused: it is none that a call which was made can have, but by chance.
    #[must_use]
    pub fn of_refusal(registers: &[u64; REGISTERS]) -> Self {
        let mut digest = Self::of_registers(registers);
        digest.word(A);
        digest
    }

    /// One that goes on from what [`Digest::finish`] gave.
    #[must_use]
    pub const fn resumed(state: u64) -> Self {
        Self(state)
    }

    /// Takes one word in.
    pub const fn word(&mut self, value: u64) {
        self.block(value, 0);
    }

    /// Takes a run of bytes in; its end is part of it.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<16>();
        for block in blocks {
            self.block(half(block, 0), half(block, 8));
        }
        if !rest.is_empty() {
            let mut block = [0; 16];
            block[..rest.len()].copy_from_slice(rest);
            self.block(half(&block, 0), half(&block, 8));
        }
        self.word(bytes.len() as u64 ^ C);
    }

    /// The digest of all that was taken in.
    #[must_use]
    pub const fn finish(self) -> u64 {
        self.0
    }

    /// Takes a block of 16 bytes in, and not that it ends there.
    pub(crate) fn block_of(&mut self, block: &[u8; 16]) {
        self.block(half(block, 0), half(block, 8));
    }

    const fn block(&mut self, x: u64, y: u64) {
        self.0 = fold(self.0 ^ x ^ A, self.0.rotate_left(32) ^ y ^ B);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|i| ((i * 31 + 7) % 256).to_le_bytes()[0]).collect()
    }

    /// One input: words, or a run of bytes.
    #[derive(Debug, Clone)]
    enum Piece {
        Word(u64),
        Bytes(Vec<u8>),
    }

    fn of(pieces: &[Piece]) -> u64 {
        let mut digest = Digest::new();
        for piece in pieces {
            match piece {
                Piece::Word(value) => digest.word(*value),
                Piece::Bytes(bytes) => digest.bytes(bytes),
            }
        }
        digest.finish()
    }

    fn of_bytes(bytes: &[u8]) -> u64 {
        of(&[Piece::Bytes(bytes.to_vec())])
    }

    /// The definition in the module's words, computed in another way: 32-bit limbs, bytes one by one.
    fn by_definition(pieces: &[Piece]) -> u64 {
        fn fold(x: u64, y: u64) -> u64 {
            let (x1, x0, y1, y0) = (x >> 32, x & 0xffff_ffff, y >> 32, y & 0xffff_ffff);
            let middle = x1 * y0 + ((x0 * y0) >> 32);
            let carry = x0 * y1 + (middle & 0xffff_ffff);
            let (high, low) = (x1 * y1 + (middle >> 32) + (carry >> 32), x.wrapping_mul(y));
            low ^ high
        }
        let mut state = SEED;
        let step = |state: u64, x: u64, y: u64| fold(state ^ x ^ A, state.rotate_right(32) ^ y ^ B);
        for piece in pieces {
            match piece {
                Piece::Word(value) => state = step(state, *value, 0),
                Piece::Bytes(bytes) => {
                    for start in (0..bytes.len()).step_by(16) {
                        let byte = |at: usize| u64::from(bytes.get(start + at).copied().unwrap_or(0)) << (at % 8 * 8);
                        state = step(state, (0..8).map(byte).sum(), (8..16).map(byte).sum());
                    }
                    state = step(state, bytes.len() as u64 ^ C, 0);
                }
            }
        }
        state
    }

    fn piece() -> impl Strategy<Value = Piece> {
        prop_oneof![
            any::<u64>().prop_map(Piece::Word),
            (0..9u64).prop_map(Piece::Word),
            prop::collection::vec(any::<u8>(), 0..70).prop_map(Piece::Bytes),
            prop::collection::vec(0..2u8, 0..70).prop_map(Piece::Bytes),
        ]
    }

    #[test]
    fn every_register_matters_and_so_does_which_it_is() {
        let of = |registers: &[u64; REGISTERS]| Digest::of_registers(registers).finish();
        let registers: [u64; REGISTERS] = std::array::from_fn(|index| 0x7fff_0000 + 8 * index as u64);
        for index in 0..REGISTERS {
            for bit in 0..64 {
                let mut other = registers;
                other[index] ^= 1 << bit;
                assert_ne!(of(&other), of(&registers), "bit {bit} of register {index}");
            }
            for second in 0..index {
                let mut other = registers;
                other.swap(index, second);
                assert_ne!(of(&other), of(&registers), "registers {index} and {second}");
            }
        }
        assert_ne!(of(&[0; REGISTERS]), SEED);
    }

    /// docs/log-format.md, the table of the digest.
    #[test]
    fn the_documented_vectors() {
        let text = include_str!("../../docs/log-format.md");
        let mut found = 0;
        for line in text.lines() {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let (Some(input), Some(value)) = (cells.next(), cells.next()) else { continue };
            let Some(value) = value.strip_prefix("`0x") else { continue };
            let value = u64::from_str_radix(value.trim_end_matches('`'), 16).unwrap();
            let pieces = match input.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["nothing"] => vec![],
                ["word", word] => vec![Piece::Word(word.parse().unwrap())],
                ["bytes,", len] => vec![Piece::Bytes(pattern(len.parse().unwrap()))],
                ["registers", "from", first, ..] => {
                    let first: u64 = first.parse().unwrap();
                    let registers: [u64; REGISTERS] = std::array::from_fn(|index| first + index as u64);
                    let found_value = Digest::of_registers(&registers).finish();
                    assert_eq!(found_value, value, "{input}: found {found_value:#018x}");
                    found += 1;
                    continue;
                }
                ["word", one, "then", "bytes,", len] => {
                    vec![Piece::Word(one.parse().unwrap()), Piece::Bytes(pattern(len.parse().unwrap()))]
                }
                _ => continue,
            };
            assert_eq!(of(&pieces), value, "{input}: found {:#018x}", of(&pieces));
            found += 1;
        }
        assert_eq!(found, 15, "vectors in the document");
    }

    #[test]
    fn where_a_piece_ends_matters() {
        let pieces = |parts: &[&[u8]]| of(&parts.iter().map(|part| Piece::Bytes(part.to_vec())).collect::<Vec<_>>());
        assert_ne!(pieces(&[b"ab", b"c"]), pieces(&[b"abc"]));
        assert_ne!(pieces(&[b"ab", b"c"]), pieces(&[b"a", b"bc"]));
        assert_ne!(pieces(&[b"", b"abc"]), pieces(&[b"abc"]));
        assert_ne!(pieces(&[b""]), pieces(&[]));
        assert_ne!(of_bytes(b"ab"), of_bytes(b"ab\0"));
        assert_ne!(of_bytes(&[0; 16]), of_bytes(&[0; 32]));
    }

    #[test]
    fn a_factor_of_zero_is_no_trap() {
        let mut zero = Digest::new();
        zero.word(SEED ^ A);
        assert_eq!(zero.finish(), 0);
        let after = |value| {
            let mut digest = zero;
            digest.word(value);
            digest.finish()
        };
        assert_ne!(after(0), 0);
        assert_ne!(after(0), after(1));
    }

    proptest! {
        #[test]
        fn it_is_what_its_definition_says(pieces in prop::collection::vec(piece(), 0..6)) {
            prop_assert_eq!(of(&pieces), by_definition(&pieces));
        }

        #[test]
        fn every_bit_matters(pieces in prop::collection::vec(piece(), 1..6), at in any::<prop::sample::Index>(), bit in 0..64u32) {
            let mut changed = pieces.clone();
            match &mut changed[at.index(pieces.len())] {
                Piece::Word(value) => *value ^= 1 << bit,
                Piece::Bytes(bytes) if bytes.is_empty() => bytes.push(0),
                Piece::Bytes(bytes) => {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << (bit % 8);
                }
            }
            prop_assert_ne!(of(&changed), of(&pieces));
        }
    }
}

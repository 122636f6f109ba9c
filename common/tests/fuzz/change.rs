//! Damage and forgery: what is done to bytes that were sound.

use proptest::prelude::*;
use proptest::sample::Index;

/// One thing that is done to bytes.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Flip(Index, u8),
    Byte(Index, u8),
    /// A word of 4 bytes at a multiple of 4: lengths, numbers, enumeration values.
    Word(Index, u32),
    /// A word of 8 bytes at a multiple of 4.
    Long(Index, u64),
    Truncate(Index),
    Cut(Index, usize),
    Repeat(Index, usize),
    Insert(Index, Vec<u8>),
    /// A piece of it overwrites another.
    Copy(Index, Index, usize),
}

/// Borders of lengths and their neighbours.
fn word() -> impl Strategy<Value = u32> {
    let borders =
        vec![0, 1, 7, 8, 16, 24, 32, 255, 1 << 16, 64 << 20, 1 << 30, (1 << 30) + 8, 1 << 31, u32::MAX - 7, u32::MAX];
    prop_oneof![3 => prop::sample::select(borders), 3 => 0..300u32, 1 => any::<u32>()]
}

pub(crate) fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    let size = || prop_oneof![Just(4), Just(8), Just(24), 1..64usize];
    let change = prop_oneof![
        3 => (at(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (at(), any::<u8>()).prop_map(|(at, value)| Change::Byte(at, value)),
        6 => (at(), word()).prop_map(|(at, value)| Change::Word(at, value)),
        2 => (at(), prop_oneof![word().prop_map(u64::from), any::<u64>(), Just(u64::MAX)])
            .prop_map(|(at, value)| Change::Long(at, value)),
        1 => at().prop_map(Change::Truncate),
        1 => (at(), size()).prop_map(|(at, size)| Change::Cut(at, size)),
        1 => (at(), size()).prop_map(|(at, size)| Change::Repeat(at, size)),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => (at(), at(), size()).prop_map(|(from, to, size)| Change::Copy(from, to, size)),
    ];
    prop::collection::vec(change, 0..=most)
}

/// Overwrites, as far as there is something.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (to, from) in bytes[at..].iter_mut().zip(value) {
        *to = *from;
    }
}

pub(crate) fn apply(bytes: &mut Vec<u8>, changes: &[Change]) {
    for change in changes {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        let run = |at: usize, size: usize| at..len.min(at + size);
        match change {
            Change::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Change::Byte(at, value) => bytes[at.index(len)] = *value,
            Change::Word(at, value) => put(bytes, at.index(len) / 4 * 4, &value.to_le_bytes()),
            Change::Long(at, value) => put(bytes, at.index(len) / 4 * 4, &value.to_le_bytes()),
            Change::Truncate(at) => bytes.truncate(at.index(len)),
            Change::Cut(at, size) => drop(bytes.drain(run(at.index(len), *size))),
            Change::Repeat(at, size) => {
                let at = at.index(len);
                let piece = bytes[run(at, *size)].to_vec();
                bytes.splice(at..at, piece);
            }
            Change::Insert(at, piece) => {
                let at = at.index(len);
                bytes.splice(at..at, piece.iter().copied());
            }
            Change::Copy(from, to, size) => {
                let piece = bytes[run(from.index(len), *size)].to_vec();
                put(bytes, to.index(len), &piece);
            }
        }
    }
}

//! How the x86-64 kernel reads the words of a call and the numbers in memory: the one place where a word is cut to the type
//! of a parameter.
//!
//! Registers carry 64 bits. A parameter of a narrower type takes the low ones and ignores the rest (System V ABI, 3.2.3;
//! `SYSCALL_DEFINE` in linux/syscalls.h), so that what is above them must not count, neither here nor there.

use std::mem::size_of;

const _: () = assert!(size_of::<usize>() == size_of::<u64>(), "x86-64: size_t is a whole word");

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// A word as the kernel reads an `int`: the low 32 bits.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the kernel ignores the upper half")]
pub const fn int(word: u64) -> i32 {
    word as i32
}

/// A word as the kernel reads an `unsigned int`: the low 32 bits.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the kernel ignores the upper half")]
pub const fn uint(word: u64) -> u32 {
    word as u32
}

/// What a call that gives an `int` has returned (a descriptor, a process, a status), or what it failed with, negated.
#[must_use]
pub const fn int_result(result: i64) -> i32 {
    int(result.cast_unsigned())
}

/// A word as the kernel reads a `size_t`: all of it.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "size_t is a whole word, asserted above")]
pub const fn size(word: u64) -> usize {
    word as usize
}

/// The word that carries a signed number: what a caller passes for an `int` or `long`, what rax holds for a result.
#[must_use]
pub fn word(number: impl Into<i64>) -> u64 {
    number.into().cast_unsigned()
}

/// The first field of a socket address (`sa_family_t`, 16 bits) for a family as socket(2) takes it.
///
/// # Panics
/// When the number does not fit: no family of Linux is that large.
#[must_use]
pub const fn family(number: i32) -> [u8; 2] {
    let [low, high, 0, 0] = number.to_le_bytes() else { panic!("an address family of 16 bits") };
    [low, high]
}

/// A little-endian `u32` at an offset of bytes that a call left, 0 beyond their end.
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).map_or(0, |b| u32::from_le_bytes(*b))
}

/// A little-endian `i32` at an offset of bytes that a call left, 0 beyond their end.
#[must_use]
pub fn i32_at(bytes: &[u8], at: usize) -> i32 {
    u32_at(bytes, at).cast_signed()
}

/// A little-endian `u64` at an offset of bytes that a call left, 0 beyond their end.
#[must_use]
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b))
}

/// A little-endian `i64` at an offset of bytes that a call left, 0 beyond their end.
#[must_use]
pub fn i64_at(bytes: &[u8], at: usize) -> i64 {
    u64_at(bytes, at).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_half_of_a_narrow_parameter_does_not_count() {
        assert_eq!(int(0xdead_beef_0000_0003), 3);
        assert_eq!(int(0x0000_0001_ffff_ff9c), libc::AT_FDCWD);
        assert_eq!(uint(0xdead_beef_ffff_ffff), u32::MAX);
    }

    #[test]
    fn a_negative_number_is_sign_extended() {
        assert_eq!(word(libc::AT_FDCWD), 0xffff_ffff_ffff_ff9c);
        assert_eq!(int_result(-1), -1);
        assert_eq!(word(i64::MIN), 1 << 63);
    }

    #[test]
    fn numbers_in_memory_are_little_endian_and_signed_where_they_are() {
        let bytes = [&(-2i32).to_le_bytes()[..], &(-3i64).to_le_bytes()].concat();
        assert_eq!((i32_at(&bytes, 0), i64_at(&bytes, 4)), (-2, -3));
        assert_eq!((u32_at(&bytes, 9), u64_at(&bytes, 5)), (0, 0), "beyond the end");
        assert_eq!(family(libc::AF_INET6), [10, 0]);
    }
}

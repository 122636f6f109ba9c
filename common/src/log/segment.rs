//! A segment: a file with a run of frames.
//!
//! It is named `log-<LSN of its first record, 16 hexadecimal digits>.seg` and begins, little endian, with
//!
//! ```text
//!  0 8 bytes magic "FTRUNSEG"    8 u32 version    12 u32 flags: 0
//! 16 u64 log id                 24 u64 LSN of the first record
//! 32 u32 CRC-32 of the 32 bytes before
//! 36 frames, one after the other
//! ```
//!
//! Every byte of this header follows from the log id and the file's name, so that a header which was cut is still checked.

use thiserror::Error;

use crate::ids::Lsn;

/// Bytes before the first frame.
pub const SEGMENT_HEADER_LEN: usize = 36;
/// First bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"FTRUNSEG";
/// Version of the layout in this module.
pub const SEGMENT_VERSION: u32 = 9;

/// Why a segment is not the one that belongs here.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum SegmentError {
    /// Something else.
    #[error("it begins with {found:02x?}, expected {SEGMENT_MAGIC:02x?}: it is no segment of ftrun")]
    Magic {
        /// Its first bytes, at most 8.
        found: Vec<u8>,
    },
    /// Written by another version.
    #[error("the segment has version {found}, expected {SEGMENT_VERSION}: use the ftrun that wrote it")]
    Version {
        /// The version found.
        found: u32,
    },
    /// The header is damaged.
    #[error("the segment's header is damaged: it has checksum {found:#010x}, expected {expected:#010x}")]
    Checksum {
        /// Computed from the bytes.
        expected: u32,
        /// Found in the header.
        found: u32,
    },
    /// Flags that this version does not know.
    #[error("the segment has flags {found:#x}, expected 0: use a newer ftrun")]
    Flags {
        /// The flags found.
        found: u32,
    },
    /// Of another log than the snapshot beside it.
    #[error("the segment belongs to log {found:016x}, expected {expected:016x}: logs were mixed up")]
    LogId {
        /// The snapshot's.
        expected: u64,
        /// The segment's.
        found: u64,
    },
    /// Not where its name says.
    #[error("the segment begins at LSN {found}, its name says {expected}: it was renamed")]
    FirstLsn {
        /// By its name.
        expected: Lsn,
        /// By its header.
        found: Lsn,
    },
    /// The header is cut, in a segment that is not the last, or what is left of it is damaged.
    #[error("the segment's header has {found} sound bytes, expected {SEGMENT_HEADER_LEN}: it is cut")]
    Short {
        /// Bytes that are there and as expected.
        found: usize,
    },
}

/// The name of the segment that begins at `first`.
#[must_use]
pub fn file_name(first: Lsn) -> String {
    format!("log-{:016x}.seg", first.0)
}

/// The first LSN that a file name tells; `None` when it is no segment's name.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<Lsn> {
    let first = Lsn(u64::from_str_radix(name.strip_prefix("log-")?.strip_suffix(".seg")?, 16).ok()?);
    (file_name(first) == name).then_some(first)
}

/// The bytes before the first frame.
#[must_use]
pub fn header(log_id: u64, first: Lsn) -> [u8; SEGMENT_HEADER_LEN] {
    let mut out = [0; SEGMENT_HEADER_LEN];
    out[..8].copy_from_slice(&SEGMENT_MAGIC);
    out[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&log_id.to_le_bytes());
    out[24..32].copy_from_slice(&first.0.to_le_bytes());
    let crc = crc32fast::hash(&out[..32]);
    out[32..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Checks the first bytes of a segment of log `log_id` whose name says `first`. True when the header is whole, false when
/// it is cut: `bytes` are then all that the file has.
///
/// # Errors
/// When the segment is damaged, of another version, log or place.
pub fn check_header(bytes: &[u8], log_id: u64, first: Lsn) -> Result<bool, SegmentError> {
    let expected = header(log_id, first);
    let there = bytes.len().min(SEGMENT_HEADER_LEN);
    if bytes[..there] == expected[..there] {
        return Ok(there == SEGMENT_HEADER_LEN);
    }
    let magic = there.min(8);
    if bytes[..magic] != SEGMENT_MAGIC[..magic] {
        return Err(SegmentError::Magic { found: bytes[..magic].to_vec() });
    }
    let Some(whole) = bytes.first_chunk::<SEGMENT_HEADER_LEN>() else {
        let found = bytes.iter().zip(&expected).take_while(|(a, b)| a == b).count();
        return Err(SegmentError::Short { found });
    };
    let u32_at = |at: usize| u32::from_le_bytes([whole[at], whole[at + 1], whole[at + 2], whole[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    if u32_at(8) != SEGMENT_VERSION {
        return Err(SegmentError::Version { found: u32_at(8) });
    }
    let checksum = crc32fast::hash(&whole[..32]);
    if u32_at(32) != checksum {
        return Err(SegmentError::Checksum { expected: checksum, found: u32_at(32) });
    }
    if u32_at(12) != 0 {
        return Err(SegmentError::Flags { found: u32_at(12) });
    }
    if u64_at(16) != log_id {
        return Err(SegmentError::LogId { expected: log_id, found: u64_at(16) });
    }
    Err(SegmentError::FirstLsn { expected: first, found: Lsn(u64_at(24)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_no_other_spelling_is() {
        assert_eq!(file_name(Lsn(0xabc0)), "log-000000000000abc0.seg");
        assert_eq!(parse_file_name("log-000000000000abc0.seg"), Some(Lsn(0xabc0)));
        for name in ["log-000000000000ABC0.seg", "log-abc0.seg", "log-.seg", "log-000000000000abc0", "snapshot"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_header_is_named() {
        let check = |change: fn(&mut [u8; SEGMENT_HEADER_LEN])| {
            let mut bytes = header(7, Lsn(64));
            change(&mut bytes);
            check_header(&bytes, 7, Lsn(64))
        };
        assert_eq!(check(|_| ()), Ok(true));
        assert!(matches!(check(|b| b[0] = 0), Err(SegmentError::Magic { .. })));
        assert!(matches!(check(|b| b[8] = 1), Err(SegmentError::Version { found: 1 })));
        assert!(matches!(check(|b| b[20] ^= 1), Err(SegmentError::Checksum { .. })));
        assert!(matches!(check(|b| *b = header(8, Lsn(64))), Err(SegmentError::LogId { .. })));
        assert!(matches!(check(|b| *b = header(7, Lsn(72))), Err(SegmentError::FirstLsn { .. })));
        assert_eq!(check_header(&header(7, Lsn(64))[..20], 7, Lsn(64)), Ok(false));
        assert_eq!(check_header(&header(9, Lsn(64))[..20], 7, Lsn(64)), Err(SegmentError::Short { found: 16 }));
    }
}

//! A frame: a run of whole records with the epoch that wrote them, their place in the log and checksums.
//!
//! A header of 48 bytes, then the payload; everything little endian:
//!
//! ```text
//!  0 u32 magic "FTFR"
//!  4 u16 version
//!  6 u16 flags: bit 0 the payload is the records compressed, one LZ4 block; unknown flags are refused
//!  8 u64 epoch that the writer acts in
//! 16 u64 LSN of the first record, a multiple of 8
//! 24 u64 time: the writer's CLOCK_MONOTONIC in nanoseconds when the frame was sealed
//! 32 u32 length of the records in bytes, a multiple of 8
//! 36 u32 length of the payload in bytes: the same, or less if it is compressed
//! 40 u32 CRC-32 of the payload
//! 44 u32 CRC-32 of the 44 bytes before
//! ```
//!
//! Two checksums, so that a damaged length is told from a frame that was cut: under a sound header, a payload that is too
//! short is a torn tail and nothing else. A record never straddles two frames, so every received frame can be replayed.
//! Checksums are of what is stored, and checked before anything is decompressed. LSNs count records as they are, not as they
//! are stored. Frames are made by [`super::sealer::Sealer`].

use std::borrow::Cow;

use thiserror::Error;

use crate::ids::{Epoch, Lsn};
use crate::record::{MAX_RECORD, Record, RecordError};

/// Bytes of a header.
pub const FRAME_HEADER_LEN: usize = 48;
/// First field of a frame: "FTFR".
pub const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"FTFR");
/// Version of the layout in this module.
pub const FRAME_VERSION: u16 = 9;
/// Upper bound of one payload, and of the records in it, in bytes: the largest record still fits.
pub const MAX_PAYLOAD: usize = MAX_RECORD;

const COMPRESSED: u16 = 1;
/// Bytes of records that a byte of an LZ4 block can stand for at most (LZ4 block format: a length grows by 255 with each byte).
const MAX_EXPANSION: u64 = 255;

/// Why bytes are no frame, or not the one that belongs here.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// Something else stands where a frame should begin.
    #[error("a frame begins with {FRAME_MAGIC:#010x}, found {found:#010x}")]
    Magic {
        /// What stands there.
        found: u32,
    },
    /// Written by another version.
    #[error("the frame has version {found}, expected {FRAME_VERSION}: use the ftrun that wrote it")]
    Version {
        /// The version found.
        found: u16,
    },
    /// Flags that this version does not know.
    #[error("the frame at LSN {lsn} has flags {found:#06x}, expected 0 or {COMPRESSED:#06x}: use a newer ftrun")]
    Flags {
        /// Where it claims to belong.
        lsn: Lsn,
        /// The flags found.
        found: u16,
    },
    /// The header is damaged.
    #[error("the frame's header has checksum {found:#010x}, expected {expected:#010x}: it is damaged")]
    HeaderChecksum {
        /// Computed from the bytes.
        expected: u32,
        /// Found in the header.
        found: u32,
    },
    /// The payload is damaged.
    #[error(
        "the payload of the frame at LSN {lsn} has checksum {found:#010x}, expected {expected:#010x}: it is damaged"
    )]
    PayloadChecksum {
        /// First LSN of the frame.
        lsn: Lsn,
        /// Said by the header.
        expected: u32,
        /// Computed from the bytes.
        found: u32,
    },
    /// A length that no frame can have.
    #[error("the frame at LSN {lsn} has {found} bytes of records, expected a multiple of 8 of at most {MAX_PAYLOAD}")]
    Length {
        /// First LSN of the frame.
        lsn: Lsn,
        /// The length.
        found: u64,
    },
    /// A payload that cannot hold so many bytes of records.
    #[error("the frame at LSN {lsn} has {found} bytes of payload for {length} bytes of records, expected {expected}")]
    Stored {
        /// First LSN of the frame.
        lsn: Lsn,
        /// Bytes of records.
        length: u32,
        /// What the payload may have.
        expected: &'static str,
        /// Bytes of payload.
        found: u32,
    },
    /// A payload whose checksum is right and that does not give the records that the header promises.
    #[error("the payload of the frame at LSN {lsn} cannot be decompressed to the {expected} bytes expected: {found}")]
    Compressed {
        /// First LSN of the frame.
        lsn: Lsn,
        /// Bytes of records.
        expected: u32,
        /// What it gives instead.
        found: String,
    },
    /// Fewer or more bytes than the header says.
    #[error("the payload of the frame at LSN {lsn} has {found} bytes, expected {expected}")]
    PayloadLength {
        /// First LSN of the frame.
        lsn: Lsn,
        /// Said by the header.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// A header that is cut.
    #[error("a frame needs {FRAME_HEADER_LEN} bytes of header, found {found}")]
    Short {
        /// Bytes there.
        found: usize,
    },
    /// An LSN at which no record can begin.
    #[error("a frame claims LSN {found}, expected a multiple of 8 with room for {length} bytes")]
    Misplaced {
        /// The claim.
        found: Lsn,
        /// Bytes of its records.
        length: u64,
    },
    /// Records are missing or come twice.
    #[error("the frame at LSN {found} does not continue the log, expected LSN {expected}")]
    Gap {
        /// Where the log stood.
        expected: Lsn,
        /// Where the frame begins.
        found: Lsn,
    },
    /// Written by a replica whose epoch is over.
    #[error("the frame at LSN {lsn} is of epoch {found}, expected {highest} or above: its writer has been superseded")]
    Superseded {
        /// First LSN of the frame.
        lsn: Lsn,
        /// The highest epoch seen before.
        highest: Epoch,
        /// The frame's.
        found: Epoch,
    },
    /// The payload is no run of whole records.
    #[error("the record at LSN {lsn} cannot be read: {source}")]
    Record {
        /// Of the record.
        lsn: Lsn,
        /// What is wrong with it.
        source: RecordError,
    },
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The epoch that the writer acts in.
    pub epoch: Epoch,
    /// LSN of the first record.
    pub first_lsn: Lsn,
    /// The writer's CLOCK_MONOTONIC in nanoseconds when the frame was sealed.
    pub time: u64,
    /// Bytes of records.
    pub length: u32,
    /// Bytes of payload: as many, or fewer if it is compressed.
    pub stored: u32,
    /// The payload is an LZ4 block.
    pub compressed: bool,
    /// CRC-32 of the payload, as it is stored.
    pub payload_crc: u32,
}

impl FrameHeader {
    pub(super) fn encode(&self) -> [u8; FRAME_HEADER_LEN] {
        let mut out = [0; FRAME_HEADER_LEN];
        out[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        out[4..6].copy_from_slice(&FRAME_VERSION.to_le_bytes());
        out[6..8].copy_from_slice(&(if self.compressed { COMPRESSED } else { 0 }).to_le_bytes());
        out[8..16].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.time.to_le_bytes());
        out[32..36].copy_from_slice(&self.length.to_le_bytes());
        out[36..40].copy_from_slice(&self.stored.to_le_bytes());
        out[40..44].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&out[..44]);
        out[44..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header and checks everything that can be checked without the payload.
    ///
    /// # Errors
    /// When the bytes are damaged, of another version, or claim what no frame can have.
    pub fn decode(bytes: &[u8; FRAME_HEADER_LEN]) -> Result<Self, FrameError> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u32_at(0) != FRAME_MAGIC {
            return Err(FrameError::Magic { found: u32_at(0) });
        }
        if u16_at(4) != FRAME_VERSION {
            return Err(FrameError::Version { found: u16_at(4) });
        }
        let expected = crc32fast::hash(&bytes[..44]);
        if u32_at(44) != expected {
            return Err(FrameError::HeaderChecksum { expected, found: u32_at(44) });
        }
        let flags = u16_at(6);
        let header = Self {
            epoch: Epoch(u64_at(8)),
            first_lsn: Lsn(u64_at(16)),
            time: u64_at(24),
            length: u32_at(32),
            stored: u32_at(36),
            compressed: flags == COMPRESSED,
            payload_crc: u32_at(40),
        };
        let (lsn, length) = (header.first_lsn, u64::from(header.length));
        if flags & !COMPRESSED != 0 {
            return Err(FrameError::Flags { lsn, found: flags });
        }
        if header.length as usize > MAX_PAYLOAD || !length.is_multiple_of(8) {
            return Err(FrameError::Length { lsn, found: length });
        }
        if !lsn.0.is_multiple_of(8) || lsn.0.checked_add(length).is_none() {
            return Err(FrameError::Misplaced { found: lsn, length });
        }
        header.check_stored()?;
        Ok(header)
    }

    /// A payload that is not compressed is the records; one that is has fewer bytes, but enough of them: so the memory that
    /// records take is bounded by what has come.
    fn check_stored(&self) -> Result<(), FrameError> {
        let (right, expected) = if self.compressed {
            let enough = u64::from(self.stored) * MAX_EXPANSION >= u64::from(self.length);
            (self.stored < self.length && enough, "fewer, and at least one for each 255, since it is compressed")
        } else {
            (self.stored == self.length, "as many, since it is not compressed")
        };
        let wrong = FrameError::Stored { lsn: self.first_lsn, length: self.length, expected, found: self.stored };
        if right { Ok(()) } else { Err(wrong) }
    }

    /// LSN behind the last record: where the next frame begins.
    #[must_use]
    pub fn end_lsn(&self) -> Lsn {
        self.first_lsn.advance(self.length as usize)
    }

    /// The frame with this payload, as it was stored.
    ///
    /// # Errors
    /// When the payload is not what the header was sealed over, or cannot be decompressed to what the header says.
    pub fn open<'a>(self, payload: impl Into<Cow<'a, [u8]>>) -> Result<Frame<'a>, FrameError> {
        let payload = payload.into();
        let lsn = self.first_lsn;
        if payload.len() != self.stored as usize {
            let (expected, found) = (u64::from(self.stored), payload.len() as u64);
            return Err(FrameError::PayloadLength { lsn, expected, found });
        }
        let found = crc32fast::hash(&payload);
        if found != self.payload_crc {
            return Err(FrameError::PayloadChecksum { lsn, expected: self.payload_crc, found });
        }
        let payload = if self.compressed { self.decompress(&payload)?.into() } else { payload };
        Ok(Frame { header: self, payload })
    }

    fn decompress(&self, payload: &[u8]) -> Result<Vec<u8>, FrameError> {
        let failed = |found| FrameError::Compressed { lsn: self.first_lsn, expected: self.length, found };
        let mut records = vec![0; self.length as usize];
        let length =
            lz4_flex::block::decompress_into(payload, &mut records).map_err(|error| failed(error.to_string()))?;
        if length != records.len() {
            return Err(failed(format!("it gives {length}")));
        }
        Ok(records)
    }
}

/// A frame whose checksums are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What stands before the payload.
    pub header: FrameHeader,
    /// A run of whole records, not compressed.
    pub payload: Cow<'a, [u8]>,
}

impl<'a> Frame<'a> {
    /// Reads a frame; every byte must belong to it.
    ///
    /// # Errors
    /// When the bytes are too few or too many, damaged, or of another version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (header, payload) = bytes.split_first_chunk().ok_or(FrameError::Short { found: bytes.len() })?;
        FrameHeader::decode(header)?.open(payload)
    }

    /// Its records, each with its LSN.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records::new(self.header.first_lsn, &self.payload)
    }
}

/// The records of a payload, each with its LSN; ends behind the first that cannot be read.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    lsn: Lsn,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Over `payload`, whose first record has `first_lsn`.
    #[must_use]
    pub fn new(first_lsn: Lsn, payload: &'a [u8]) -> Self {
        Self { lsn: first_lsn, rest: payload }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<(Lsn, Record), FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let lsn = self.lsn;
        match Record::decode(self.rest) {
            Ok((record, len)) => {
                self.rest = &self.rest[len..];
                self.lsn = lsn.advance(len);
                Some(Ok((lsn, record)))
            }
            Err(source) => {
                self.rest = &[];
                Some(Err(FrameError::Record { lsn, source }))
            }
        }
    }
}

/// Follows the log from frame to frame: each must begin where the one before ended, and epochs never go back.
#[derive(Debug, Clone)]
pub struct FrameReader {
    next: Lsn,
    epoch: Epoch,
}

impl FrameReader {
    /// Expects a frame that begins at `next` and is of `epoch` or a higher one.
    #[must_use]
    pub fn new(next: Lsn, epoch: Epoch) -> Self {
        Self { next, epoch }
    }

    /// Where the log stands: the LSN that the next frame must begin at.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.next
    }

    /// The highest epoch seen.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes the header of the next frame; nothing changes when it is refused.
    ///
    /// # Errors
    /// When it does not continue the log or is of an epoch that is over.
    pub fn follow(&mut self, header: &FrameHeader) -> Result<(), FrameError> {
        if header.first_lsn != self.next {
            return Err(FrameError::Gap { expected: self.next, found: header.first_lsn });
        }
        if header.epoch < self.epoch {
            return Err(FrameError::Superseded { lsn: self.next, highest: self.epoch, found: header.epoch });
        }
        self.next = header.end_lsn();
        self.epoch = header.epoch;
        Ok(())
    }

    /// Takes the bytes of the next frame.
    ///
    /// # Errors
    /// As [`Frame::decode`] and [`FrameReader::follow`].
    pub fn accept<'a>(&mut self, bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let frame = Frame::decode(bytes)?;
        self.follow(&frame.header)?;
        Ok(frame)
    }
}

#[cfg(test)]
mod tests;

//! A frame: a run of whole records with the epoch that wrote them, their place in the log and checksums.
//!
//! A header of 44 bytes, then the payload; everything little endian:
//!
//! ```text
//!  0 u32 magic "FTFR"
//!  4 u16 version
//!  6 u16 flags: 0; bit 0 is reserved for an LZ4 payload; unknown flags are refused
//!  8 u64 epoch that the writer acts in
//! 16 u64 LSN of the first record, a multiple of 8
//! 24 u64 time: the writer's CLOCK_MONOTONIC in nanoseconds when the frame was sealed
//! 32 u32 length of the payload in bytes, a multiple of 8
//! 36 u32 CRC-32 of the payload
//! 40 u32 CRC-32 of the 40 bytes before
//! ```
//!
//! Two checksums, so that a damaged length is told from a frame that was cut: under a sound header, a payload that is too
//! short is a torn tail and nothing else. A record never straddles two frames, so every received frame can be replayed.

use thiserror::Error;

use crate::ids::{Epoch, Lsn};
use crate::record::{MAX_RECORD, Record, RecordError};

/// Bytes of a header.
pub const FRAME_HEADER_LEN: usize = 44;
/// First field of a frame: "FTFR".
pub const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"FTFR");
/// Version of the layout in this module.
pub const FRAME_VERSION: u16 = 2;
/// Upper bound of one payload in bytes: the largest record still fits.
pub const MAX_PAYLOAD: usize = MAX_RECORD;

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
    #[error("the frame at LSN {lsn} has flags {found:#06x}, expected 0: use a newer ftrun")]
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
    #[error("the frame at LSN {lsn} has {found} bytes of payload, expected a multiple of 8 of at most {MAX_PAYLOAD}")]
    Length {
        /// First LSN of the frame.
        lsn: Lsn,
        /// The length.
        found: u64,
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
        /// Bytes of its payload.
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
    /// Bytes of payload.
    pub length: u32,
    /// CRC-32 of the payload.
    pub payload_crc: u32,
}

impl FrameHeader {
    fn encode(&self) -> [u8; FRAME_HEADER_LEN] {
        let mut out = [0; FRAME_HEADER_LEN];
        out[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        out[4..6].copy_from_slice(&FRAME_VERSION.to_le_bytes());
        out[8..16].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.time.to_le_bytes());
        out[32..36].copy_from_slice(&self.length.to_le_bytes());
        out[36..40].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&out[..40]);
        out[40..].copy_from_slice(&crc.to_le_bytes());
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
        let expected = crc32fast::hash(&bytes[..40]);
        if u32_at(40) != expected {
            return Err(FrameError::HeaderChecksum { expected, found: u32_at(40) });
        }
        let header = Self {
            epoch: Epoch(u64_at(8)),
            first_lsn: Lsn(u64_at(16)),
            time: u64_at(24),
            length: u32_at(32),
            payload_crc: u32_at(36),
        };
        let (lsn, length) = (header.first_lsn, u64::from(header.length));
        if u16_at(6) != 0 {
            return Err(FrameError::Flags { lsn, found: u16_at(6) });
        }
        if header.length as usize > MAX_PAYLOAD || !length.is_multiple_of(8) {
            return Err(FrameError::Length { lsn, found: length });
        }
        if !lsn.0.is_multiple_of(8) || lsn.0.checked_add(length).is_none() {
            return Err(FrameError::Misplaced { found: lsn, length });
        }
        Ok(header)
    }

    /// LSN behind the last record: where the next frame begins.
    #[must_use]
    pub fn end_lsn(&self) -> Lsn {
        self.first_lsn.advance(self.length as usize)
    }

    /// Checks that `payload` is what the header was sealed over.
    ///
    /// # Errors
    /// When its length or checksum differs.
    pub fn check_payload(&self, payload: &[u8]) -> Result<(), FrameError> {
        let lsn = self.first_lsn;
        if payload.len() != self.length as usize {
            let (expected, found) = (u64::from(self.length), payload.len() as u64);
            return Err(FrameError::PayloadLength { lsn, expected, found });
        }
        let found = crc32fast::hash(payload);
        if found != self.payload_crc {
            return Err(FrameError::PayloadChecksum { lsn, expected: self.payload_crc, found });
        }
        Ok(())
    }
}

/// Makes the bytes of a frame: header and payload. `payload` is a run of whole records, the first of which has `first_lsn`;
/// `time` is the writer's CLOCK_MONOTONIC in nanoseconds.
///
/// # Errors
/// When the payload is longer than [`MAX_PAYLOAD`], or payload or LSN is no multiple of 8.
pub fn seal(epoch: Epoch, first_lsn: Lsn, time: u64, payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    let found = payload.len() as u64;
    if payload.len() > MAX_PAYLOAD || !found.is_multiple_of(8) {
        return Err(FrameError::Length { lsn: first_lsn, found });
    }
    if !first_lsn.0.is_multiple_of(8) || first_lsn.0.checked_add(found).is_none() {
        return Err(FrameError::Misplaced { found: first_lsn, length: found });
    }
    let length = u32::try_from(payload.len()).map_err(|_| FrameError::Length { lsn: first_lsn, found })?;
    let header = FrameHeader { epoch, first_lsn, time, length, payload_crc: crc32fast::hash(payload) };
    let mut out = Vec::with_capacity(FRAME_HEADER_LEN + payload.len());
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(payload);
    Ok(out)
}

/// A frame whose checksums are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What stands before the payload.
    pub header: FrameHeader,
    /// A run of whole records.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Reads a frame; every byte must belong to it.
    ///
    /// # Errors
    /// When the bytes are too few or too many, damaged, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (header, payload) = bytes.split_first_chunk().ok_or(FrameError::Short { found: bytes.len() })?;
        let header = FrameHeader::decode(header)?;
        header.check_payload(payload)?;
        Ok(Self { header, payload: payload.to_vec() })
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
    pub fn accept(&mut self, bytes: &[u8]) -> Result<Frame, FrameError> {
        let frame = Frame::decode(bytes)?;
        self.follow(&frame.header)?;
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Kind, Segment, SegmentRole};

    fn payload(records: u16) -> Vec<u8> {
        let mut out = Vec::new();
        for number in 0..records {
            let args = vec![u64::from(number); usize::from(number % 7)];
            let mut record = Record::new(Kind::Call, number, i64::from(number) - 3).with_args(&args);
            let bytes = vec![number.to_le_bytes()[0]; usize::from(number)];
            record.segments.push(Segment { address: 0x1000, role: SegmentRole::Out, arg: 1, bytes });
            record.encode_into(&mut out);
        }
        out
    }

    #[test]
    fn records_come_back_with_their_lsns() {
        let bytes = seal(Epoch(2), Lsn(800), 99, &payload(9)).unwrap();
        let frame = Frame::decode(&bytes).unwrap();
        assert_eq!((frame.header.epoch, frame.header.time), (Epoch(2), 99));
        let mut lsn = Lsn(800);
        let mut count = 0;
        for (number, item) in frame.records().enumerate() {
            let (at, record) = item.unwrap();
            assert_eq!((at, usize::from(record.number)), (lsn, number));
            lsn = lsn.advance(record.encoded_len());
            count += 1;
        }
        assert_eq!((count, lsn), (9, frame.header.end_lsn()));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let sealed = seal(Epoch(1), Lsn(0), 5, &payload(3)).unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut bytes = sealed.clone();
                bytes[at] ^= 1 << bit;
                assert!(Frame::decode(&bytes).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_damaged_length_is_told_from_a_cut_payload() {
        let sealed = seal(Epoch(1), Lsn(0), 5, &payload(3)).unwrap();
        let mut longer = sealed.clone();
        longer[33] ^= 1;
        assert!(matches!(Frame::decode(&longer), Err(FrameError::HeaderChecksum { .. })));
        let cut = &sealed[..sealed.len() - 1];
        assert!(matches!(Frame::decode(cut), Err(FrameError::PayloadLength { .. })));
        assert!(matches!(Frame::decode(&sealed[..43]), Err(FrameError::Short { found: 43 })));
    }

    #[test]
    fn flags_and_versions_of_the_future_are_refused_by_name() {
        let sealed = seal(Epoch(1), Lsn(8), 5, &payload(1)).unwrap();
        let with = |at: usize, value: u8| {
            let mut bytes = sealed.clone();
            bytes[at] = value;
            let crc = crc32fast::hash(&bytes[..40]);
            bytes[40..44].copy_from_slice(&crc.to_le_bytes());
            Frame::decode(&bytes).unwrap_err()
        };
        assert_eq!(with(4, 9), FrameError::Version { found: 9 });
        assert_eq!(with(6, 1), FrameError::Flags { lsn: Lsn(8), found: 1 });
    }

    #[test]
    fn a_record_must_not_straddle_frames() {
        let whole = payload(2);
        let bytes = seal(Epoch(1), Lsn(0), 0, &whole[..whole.len() - 8]).unwrap();
        let items: Vec<_> = Frame::decode(&bytes).unwrap().records().collect();
        assert!(items[0].is_ok());
        assert!(matches!(items[1], Err(FrameError::Record { .. })));
        assert_eq!(items.len(), 2);
    }

    #[test]
    fn what_cannot_be_placed_is_not_sealed() {
        assert!(matches!(seal(Epoch(1), Lsn(4), 0, &[0; 8]), Err(FrameError::Misplaced { .. })));
        assert!(matches!(seal(Epoch(1), Lsn(u64::MAX - 7), 0, &[0; 8]), Err(FrameError::Misplaced { .. })));
        assert!(matches!(seal(Epoch(1), Lsn(0), 0, &[0; 7]), Err(FrameError::Length { .. })));
    }

    #[test]
    fn gaps_repeats_and_superseded_writers_are_refused() {
        let body = payload(1);
        let frame = |epoch, lsn| seal(Epoch(epoch), Lsn(lsn), 0, &body).unwrap();
        let len = body.len() as u64;
        let mut reader = FrameReader::new(Lsn(0), Epoch(2));
        reader.accept(&frame(2, 0)).unwrap();
        assert_eq!(reader.accept(&frame(2, 0)), Err(FrameError::Gap { expected: Lsn(len), found: Lsn(0) }));
        assert!(matches!(reader.accept(&frame(2, len + 8)), Err(FrameError::Gap { .. })));
        assert!(matches!(reader.accept(&frame(1, len)), Err(FrameError::Superseded { .. })));
        reader.accept(&frame(3, len)).unwrap();
        assert_eq!((reader.next_lsn(), reader.epoch()), (Lsn(2 * len), Epoch(3)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), sound in any::<bool>()) {
            let mut bytes = bytes;
            if sound && bytes.len() >= FRAME_HEADER_LEN {
                bytes[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
                bytes[4..6].copy_from_slice(&FRAME_VERSION.to_le_bytes());
                bytes[6..8].fill(0);
                let crc = crc32fast::hash(&bytes[..40]);
                bytes[40..44].copy_from_slice(&crc.to_le_bytes());
            }
            let _ = Frame::decode(&bytes).map(|frame| frame.records().count());
            let _ = Records::new(Lsn(0), &bytes).count();
        }
    }
}

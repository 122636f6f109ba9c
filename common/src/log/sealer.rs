//! Makes frames, compressed where that pays.

use std::fmt;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::economy::{Compress, Economy};
use super::frame::{FRAME_HEADER_LEN, FrameError, FrameHeader, MAX_PAYLOAD};
use crate::ids::{Epoch, Lsn};

/// Bytes of memory that are kept for the next frame.
const KEPT: usize = 1 << 20;

/// Seals the frames of one log. A frame is put together in memory that the next one uses again.
pub struct Sealer {
    epoch: Epoch,
    economy: Economy,
    table: CompressTable,
    buffer: Vec<u8>,
}

impl Sealer {
    /// For a writer that acts in `epoch`.
    #[must_use]
    pub fn new(epoch: Epoch, compress: Compress) -> Self {
        Self { epoch, economy: Economy::new(compress), table: CompressTable::default(), buffer: Vec::new() }
    }

    /// Makes the bytes of a frame: header and payload. `records` is a run of whole records, the first of which has
    /// `first_lsn`; `time` is the writer's CLOCK_MONOTONIC in nanoseconds.
    ///
    /// # Errors
    /// When the records are longer than [`MAX_PAYLOAD`], or their length or the LSN is no multiple of 8.
    pub fn seal(&mut self, first_lsn: Lsn, time: u64, records: &[u8]) -> Result<&[u8], FrameError> {
        let found = records.len() as u64;
        if records.len() > MAX_PAYLOAD || !found.is_multiple_of(8) {
            return Err(FrameError::Length { lsn: first_lsn, found });
        }
        if !first_lsn.0.is_multiple_of(8) || first_lsn.0.checked_add(found).is_none() {
            return Err(FrameError::Misplaced { found: first_lsn, length: found });
        }
        let too_long = |_| FrameError::Length { lsn: first_lsn, found };
        let length = u32::try_from(records.len()).map_err(too_long)?;
        // What a rare long frame took is given back.
        if self.buffer.len() > KEPT.max(FRAME_HEADER_LEN + get_maximum_output_size(records.len())) {
            self.buffer = Vec::new();
        }
        let compressed = self.compress(records);
        let stored = compressed.unwrap_or(records.len());
        if compressed.is_none() {
            self.reserve(records.len());
            self.buffer[FRAME_HEADER_LEN..][..stored].copy_from_slice(records);
        }
        let (head, rest) = self.buffer.split_at_mut(FRAME_HEADER_LEN);
        let header = FrameHeader {
            epoch: self.epoch,
            first_lsn,
            time,
            length,
            stored: u32::try_from(stored).map_err(too_long)?,
            compressed: compressed.is_some(),
            payload_crc: crc32fast::hash(&rest[..stored]),
        };
        head.copy_from_slice(&header.encode());
        Ok(&self.buffer[..FRAME_HEADER_LEN + stored])
    }

    /// Compresses the records to their place behind the header; `None` when they are to be stored as they are.
    fn compress(&mut self, records: &[u8]) -> Option<usize> {
        if !self.economy.tries(records.len()) {
            return None;
        }
        self.reserve(get_maximum_output_size(records.len()));
        let space = &mut self.buffer[FRAME_HEADER_LEN..];
        // There is room for the worst outcome: it does not fail.
        let compressed = compress_into_with_table(records, space, &mut self.table).unwrap_or(usize::MAX);
        self.economy.keeps(records.len(), compressed).then_some(compressed)
    }

    /// Makes room for so many bytes of payload.
    fn reserve(&mut self, payload: usize) {
        let needed = FRAME_HEADER_LEN + payload;
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("epoch", &self.epoch).field("economy", &self.economy).finish_non_exhaustive()
    }
}

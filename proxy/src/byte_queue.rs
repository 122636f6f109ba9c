//! Bytes of one stream, addressed by their offset in it.
//!
//! A queue holds the bytes `[base, end)`. They are read from a socket straight into the tail ([`ByteQueue::spare`],
//! [`ByteQueue::commit`]) and written from the middle ([`ByteQueue::slices`]); no byte is moved in between. Chunks grow with
//! the traffic: an idle connection costs little, a bulk transfer gets large reads.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

/// Size of the first chunk.
const SMALLEST: usize = 16 << 10;
/// Size of a chunk in a bulk transfer.
const LARGEST: usize = 256 << 10;
/// A tail with less room gets a successor, so that no read is tiny.
const MIN_SPARE: usize = 4 << 10;
/// Pieces given to one vectored write.
pub const MAX_SLICES: usize = 16;

struct Chunk {
    start: u64,
    bytes: Vec<u8>,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end())
    }
}

/// See the module.
#[derive(Debug)]
pub struct ByteQueue {
    chunks: VecDeque<Chunk>,
    base: u64,
    end: u64,
    next_size: usize,
}

impl Default for ByteQueue {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), base: 0, end: 0, next_size: SMALLEST }
    }
}

impl ByteQueue {
    /// Offset of the first byte held.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Offset behind the last byte held.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        distance(self.base, self.end)
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.base == self.end
    }

    /// A vector with free capacity: what the caller appends to it becomes part of the queue by [`ByteQueue::commit`].
    pub fn spare(&mut self) -> &mut Vec<u8> {
        let full = match self.chunks.back() {
            None => true,
            Some(tail) => {
                let full = tail.bytes.capacity() - tail.bytes.len() < MIN_SPARE;
                if full {
                    self.next_size = (self.next_size * 2).min(LARGEST);
                }
                full
            }
        };
        if full {
            self.chunks.push_back(Chunk { start: self.end, bytes: Vec::with_capacity(self.next_size) });
        }
        let tail = self.chunks.len() - 1;
        &mut self.chunks[tail].bytes
    }

    /// Takes in what was appended to [`ByteQueue::spare`] and says how much it was.
    pub fn commit(&mut self) -> usize {
        let end = self.chunks.back().map_or(self.end, Chunk::end);
        let grown = distance(self.end, end);
        self.end = end;
        grown
    }

    /// Appends a copy of `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.spare().extend_from_slice(bytes);
        self.commit();
    }

    /// Fills `out` with the bytes of `[from, to)`, as many as fit, and says how many pieces it used.
    pub fn slices<'a>(&'a self, from: u64, to: u64, out: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let from = from.max(self.base);
        let to = to.min(self.end);
        let first = self.chunks.partition_point(|chunk| chunk.end() <= from);
        let mut used = 0;
        for chunk in self.chunks.iter().skip(first) {
            if used == MAX_SLICES || chunk.start >= to {
                break;
            }
            let begin = distance(chunk.start, from.max(chunk.start));
            let end = distance(chunk.start, to.min(chunk.end()));
            if begin < end {
                out[used] = IoSlice::new(&chunk.bytes[begin..end]);
                used += 1;
            }
        }
        used
    }

    /// Forgets the bytes before `offset`, which is within the queue.
    pub fn trim(&mut self, offset: u64) {
        debug_assert!(self.base <= offset && offset <= self.end);
        self.base = offset.clamp(self.base, self.end);
        while self.chunks.len() > 1 && self.chunks[0].end() <= self.base {
            self.chunks.pop_front();
        }
        if self.is_empty() {
            match self.chunks.pop_front() {
                Some(mut chunk) if chunk.bytes.capacity() <= SMALLEST => {
                    chunk.bytes.clear();
                    chunk.start = self.end;
                    self.chunks.push_back(chunk);
                }
                _ => {}
            }
        }
    }

    /// Forgets the bytes from `offset` on.
    pub fn truncate(&mut self, offset: u64) {
        if offset >= self.end {
            return;
        }
        self.end = offset.max(self.base);
        while self.chunks.back().is_some_and(|chunk| chunk.start >= self.end) {
            self.chunks.pop_back();
        }
        if let Some(tail) = self.chunks.back_mut() {
            tail.bytes.truncate(distance(tail.start, self.end));
        }
    }
}

/// Bytes from one offset of a stream to another, between which all bytes are in memory.
#[expect(clippy::cast_possible_truncation, reason = "a length in memory is a usize")]
pub(crate) fn distance(from: u64, to: u64) -> usize {
    (to - from) as usize
}

/// The bytes of all pieces.
#[cfg(test)]
pub(crate) fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    slices.iter().flat_map(|slice| slice.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn copy(queue: &ByteQueue, mut from: u64, to: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while from < to {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = queue.slices(from, to, &mut slices);
            assert!(used > 0, "nothing at {from} of {}..{}", queue.base(), queue.end());
            for slice in &slices[..used] {
                out.extend_from_slice(slice);
                from += slice.len() as u64;
            }
        }
        out
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Trim(u16),
        Truncate(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0usize..70_000).prop_map(Step::Push),
            2 => any::<u16>().prop_map(Step::Trim),
            1 => any::<u16>().prop_map(Step::Truncate),
        ]
    }

    proptest! {
        #[test]
        fn a_queue_is_a_window_on_its_stream(steps in prop::collection::vec(step(), 1..40)) {
            let mut queue = ByteQueue::default();
            let (mut model, mut base, mut fresh) = (Vec::<u8>::new(), 0usize, 0u32);
            for step in steps {
                let within = |share: u16, model: &Vec<u8>, base| base + (model.len() - base) * share as usize / 65535;
                match step {
                    Step::Push(n) => {
                        // Every push has other bytes, so that a mix-up after a truncation shows.
                        fresh += 1;
                        let bytes: Vec<u8> = (0u32..).take(n).map(|i| (i.wrapping_mul(31) + fresh).to_le_bytes()[0]).collect();
                        queue.push(&bytes);
                        model.extend_from_slice(&bytes);
                    }
                    Step::Trim(share) => {
                        base = within(share, &model, base);
                        queue.trim(base as u64);
                    }
                    Step::Truncate(share) => {
                        model.truncate(within(share, &model, base));
                        queue.truncate(model.len() as u64);
                    }
                }
                prop_assert_eq!((queue.base(), queue.end()), (base as u64, model.len() as u64));
                prop_assert!(copy(&queue, base as u64, model.len() as u64) == model[base..]);
                let middle = within(30_000, &model, base);
                prop_assert!(copy(&queue, middle as u64, model.len() as u64) == model[middle..]);
            }
        }
    }
}

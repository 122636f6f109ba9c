//! The records that wait for the replica, in the order of the log, and what the interceptor has of them.
//!
//! With the interceptor, each is represented in the ring: by itself where it can be taken in process, else by a mark. The
//! interceptor takes some from the front; the tracer takes the others, in its place. Without it nothing is put anywhere.
//!
//! What the interceptor says is foreign input: the server could have written there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use common::ids::Lsn;
use common::record::{Kind, Placement, Record};
use common::syscall::{Direction, nr, table};
use thiserror::Error;
use tracer::interceptor::Layer;
use tracer::interceptor::layout::{MARK_LEN, MAX_RECORD};
use tracer::interceptor::shared::{Batch, Shared};

/// Records that may wait here; the others wait at their source.
const MAX_ITEMS: usize = 16384;
/// Bytes that are put into the ring at once, with one wake: a replica that is faster than its log waits for each.
const MAX_BATCH: u64 = 2048 << 10;
/// Bytes that they may have together. One record may be longer.
const MAX_BYTES: usize = 64 << 20;

/// A record that waits.
#[derive(Debug)]
pub struct Item {
    /// Where it stands.
    pub lsn: Lsn,
    /// The record.
    pub record: Record,
    /// When it came.
    pub arrived: Instant,
}

/// A record that the interceptor has taken.
#[derive(Debug)]
pub struct Taken {
    /// The record.
    pub item: Item,
    /// What its call has sent, if it sends.
    pub sent: Vec<u8>,
}

/// What the interceptor cannot have done.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum FeedError {
    /// It has taken more than it was given.
    #[error("the interceptor has taken {found}, expected a record that it was given: its memory is damaged")]
    Taken {
        /// What it has taken instead.
        found: &'static str,
    },
    /// The output of a call is not there.
    #[error(
        "the replayed output of the call at LSN {lsn}: expected {expected} bytes, found {found} in a ring with {rest} bytes: its memory is damaged"
    )]
    Output {
        /// The record of the call.
        lsn: Lsn,
        /// How long it is by the record.
        expected: i64,
        /// How long it is by the ring.
        found: u64,
        /// What is there.
        rest: usize,
    },
}

/// How a record stands in the ring.
#[derive(Debug)]
struct Slot {
    len: u64,
    /// A record, not a mark.
    whole: bool,
}

#[derive(Debug)]
struct Ring {
    shared: Arc<Shared>,
    /// Of about half of the records, chosen by this number, only marks are put in.
    mixed: Option<u64>,
    /// One for each of the first items.
    slots: VecDeque<Slot>,
    /// Of the record that is being taken outside.
    open: Option<Slot>,
    taken: u64,
    /// Output that was read from its ring and belongs to no record yet, behind `used`.
    output: Vec<u8>,
    used: usize,
    buffer: Vec<u8>,
}

/// The records that wait.
#[derive(Debug)]
pub struct Feed {
    ring: Option<Ring>,
    items: VecDeque<Item>,
    bytes: usize,
    /// The front is being taken outside.
    open: bool,
}

impl Feed {
    /// `seed` is for [`Layer::Mixed`].
    #[must_use]
    pub fn new(layer: Layer, seed: u64, shared: &Arc<Shared>) -> Self {
        let ring = (layer != Layer::Complete).then(|| Ring {
            shared: Arc::clone(shared),
            mixed: (layer == Layer::Mixed).then_some(seed),
            slots: VecDeque::new(),
            open: None,
            taken: shared.taken(),
            output: Vec::new(),
            used: 0,
            buffer: Vec::new(),
        });
        Self { ring, items: VecDeque::new(), bytes: 0, open: false }
    }

    /// Whether more may be pushed. Without the interceptor there is never more than one, and one behind a position.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match self.ring {
            Some(_) => self.items.len() < MAX_ITEMS && self.bytes < MAX_BYTES,
            // One position may be passed over when the next is known.
            None => self.items.iter().all(|item| item.record.kind == Kind::Position) && self.items.len() < 2,
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && !self.open
    }

    /// Whether the interceptor takes part.
    #[must_use]
    pub fn is_fast(&self) -> bool {
        self.ring.is_some()
    }

    /// Adds the next record of the log.
    pub fn push(&mut self, item: Item) {
        self.bytes += item.record.encoded_len();
        self.items.push_back(item);
    }

    /// Puts into the ring what fits.
    pub fn pump(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let shared = Arc::clone(&ring.shared);
        let mut batch = shared.batch();
        while let Some(item) = self.items.get(ring.slots.len())
            && ring.put(item, &mut batch)
        {
            if batch.len() >= MAX_BATCH {
                batch.publish();
                batch = shared.batch();
            }
        }
        batch.publish();
    }

    /// The first record, to be taken outside. Only while the process stands and all that the interceptor has taken is known.
    #[must_use]
    pub fn front(&self) -> Option<&Item> {
        self.items.front()
    }

    /// Takes it. It stays in the ring until [`Feed::close`]: nothing behind it can be taken before.
    #[must_use]
    pub fn pop_front_outside(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.record.encoded_len();
        self.open = true;
        if let Some(ring) = &mut self.ring {
            ring.open = ring.slots.pop_front();
        }
        Some(item)
    }

    /// The record that was taken outside is done. Only while the process stands.
    pub fn close(&mut self) {
        self.open = false;
        if let Some(ring) = &mut self.ring
            && let Some(slot) = ring.open.take()
        {
            ring.skip(&slot);
        }
    }

    /// Forgets all that waits. Only while the process stands.
    pub fn forget(&mut self) {
        self.close();
        self.items.clear();
        self.bytes = 0;
        while let Some(ring) = &mut self.ring
            && let Some(slot) = ring.slots.pop_front()
        {
            ring.skip(&slot);
        }
    }

    /// The next record that the interceptor has taken since the last look.
    ///
    /// # Errors
    /// When it says what cannot be.
    pub fn caught_up(&mut self) -> Result<Option<Taken>, FeedError> {
        let Some(ring) = &mut self.ring else { return Ok(None) };
        if ring.shared.taken() == ring.taken {
            return Ok(None);
        }
        let whole = match ring.slots.front() {
            _ if self.open => Err("one while another was taken outside"),
            Some(Slot { whole: true, .. }) => self.items.pop_front().ok_or("more than there are"),
            Some(_) => Err("a mark"),
            None => Err("more than there are"),
        };
        let item = whole.map_err(|found| FeedError::Taken { found })?;
        ring.slots.pop_front();
        ring.taken = ring.taken.wrapping_add(1);
        self.bytes -= item.record.encoded_len();
        let sent = if sends(&item.record) { ring.piece(&item)? } else { Vec::new() };
        Ok(Some(Taken { item, sent }))
    }
}

impl Ring {
    fn put(&mut self, item: &Item, batch: &mut Batch<'_>) -> bool {
        let len = item.record.encoded_len() as u64;
        let chosen = self.mixed.is_none_or(|seed| mixed(seed ^ item.lsn.0) & 1 == 0);
        let whole = item.record.fast && chosen && len <= MAX_RECORD;
        let put = if whole {
            self.buffer.clear();
            item.record.encode_into(&mut self.buffer);
            batch.put(&self.buffer)
        } else {
            batch.put(&Shared::mark(is_between_calls(&item.record)))
        };
        if put {
            self.slots.push_back(Slot { len: if whole { len } else { MARK_LEN.into() }, whole });
        }
        put
    }

    fn skip(&mut self, slot: &Slot) {
        self.shared.skip(slot.len);
        self.taken = self.taken.wrapping_add(1);
    }

    /// What the call of a record has sent.
    fn piece(&mut self, item: &Item) -> Result<Vec<u8>, FeedError> {
        let found = match self.next_piece() {
            Some(piece) => Some(piece),
            None => {
                self.output.drain(..self.used);
                self.used = 0;
                self.shared.take_output(&mut self.output);
                self.next_piece()
            }
        };
        let expected = item.record.result;
        // sendmmsg counts messages.
        let counted = item.record.number != nr::SENDMMSG;
        match found {
            Some(piece) if !counted || i64::try_from(piece.len()) == Ok(expected) => Ok(piece),
            other => {
                let rest = self.output.get(self.used..).unwrap_or_default();
                let claim = rest.first_chunk::<8>().map_or(0, |len| u64::from_le_bytes(*len));
                let found = other.map_or(claim, |piece| piece.len() as u64);
                Err(FeedError::Output { lsn: item.lsn, expected, found, rest: rest.len() })
            }
        }
    }

    fn next_piece(&mut self) -> Option<Vec<u8>> {
        let rest = self.output.get(self.used..)?;
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let padded = len.checked_next_multiple_of(8)?;
        let piece = rest.get(..padded)?.get(..len)?.to_vec();
        self.used += 8 + padded;
        Some(piece)
    }
}

/// Whether the interceptor puts out what the call of a record has sent.
fn sends(record: &Record) -> bool {
    let sends = |shape: &common::syscall::Shape| shape.pointers.iter().any(|p| p.direction == Direction::Bulk);
    record.kind == Kind::Call && record.result > 0 && table::find(record.number.into()).is_some_and(sends)
}

/// Whether a replica must stand behind the call before this record, even if the interceptor answers that call: it is to come to a position, or
/// it has memory where a mapped file of the primary has ended (SIGBUS).
pub(crate) fn is_between_calls(record: &Record) -> bool {
    let placed = Placement::from_result(record.result) == Some(Placement::State);
    record.kind == Kind::Position || record.kind == Kind::Signal && (placed || i32::from(record.number) == libc::SIGBUS)
}

/// A number in which each bit depends on all bits of the other (the finalizer of splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;

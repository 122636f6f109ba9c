//! The memory that ftrun shares with the interceptor in the server's process: control block and rings.
//!
//! Each ring has one producer and one consumer. Positions are bytes ever put in and ever taken out. Who finds nothing to do
//! announces that it sleeps, looks once more, and sleeps on a futex; the other side wakes it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use common::digest::Digest;
use nix::errno::Errno;

use super::code;
use super::layout as at;
use super::ring::{self, Bell, Ring, Words};
use crate::sys::shared::{MemoryFile, Window, wait, wake};

/// What the interceptor does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Leaves it to the tracer.
    Outside = at::MODE_OUTSIDE,
    /// Makes it and records it.
    Record = at::MODE_RECORD,
    /// Answers it from the ring.
    Replay = at::MODE_REPLAY,
}

/// The shared memory of one server.
#[derive(Debug)]
pub struct Shared {
    file: MemoryFile,
    control: Window,
    ring: Window,
    output: Window,
}

fn len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Shared {
    /// New, in mode [`Mode::Outside`].
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new() -> Result<Self, Errno> {
        let file = MemoryFile::new(c"ftrun-shared", at::CONTROL_LEN + at::RING_LEN + at::OUTPUT_LEN)?;
        let control = file.map(0, len(at::CONTROL_LEN), 1)?;
        let ring = file.map(at::CONTROL_LEN, len(at::RING_LEN), 2)?;
        let output = file.map(at::CONTROL_LEN + at::RING_LEN, len(at::OUTPUT_LEN), 2)?;
        Ok(Self { file, control, ring, output })
    }

    /// The file: what the server's process maps, see [`super::layout`].
    #[must_use]
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What the interceptor does from its next call on. One that waits for a record looks again.
    pub fn set_mode(&self, mode: Mode) {
        self.control.u32(at::MODE).store(mode as u32, Ordering::SeqCst);
        wake(self.control.u32(at::FILLED));
    }

    /// The next call is to be made outside, because a signal waits for it; or need not be any more.
    pub fn set_pending(&self, pending: bool) {
        self.control.u32(at::PENDING).store(pending.into(), Ordering::SeqCst);
    }

    /// A signal waits for the tracer to find a place for it; or none does any more.
    pub fn set_signals(&self, wait: bool) {
        self.control.u32(at::SIGNALS).store(wait.into(), Ordering::SeqCst);
    }

    /// How the interceptor is to answer rdtsc and rdtscp from now on; with a rate of 0 it leaves them to the tracer.
    pub fn set_counter(&self, rate: u64, since: u64, base: u64, aux: u32) {
        self.control.u64(at::TSC_SINCE).store(since, Ordering::SeqCst);
        self.control.u64(at::TSC_BASE).store(base, Ordering::SeqCst);
        self.control.u32(at::TSC_AUX).store(aux, Ordering::SeqCst);
        self.control.u64(at::TSC_RATE).store(rate, Ordering::SeqCst);
    }

    /// The server is about to see this value of its time-stamp counter, or a higher one that it has seen: that is the answer.
    #[must_use]
    pub fn raise_counter(&self, value: u64) -> u64 {
        self.control.u64(at::TSC_LAST).fetch_max(value, Ordering::SeqCst).max(value)
    }

    /// What getpid answers.
    pub fn set_pid(&self, pid: i32) {
        self.control.i64(at::PID).store(pid.into(), Ordering::SeqCst);
    }

    /// Whether somebody waits for what the server puts out: then the consumer is woken for it.
    pub fn set_awaited(&self, awaited: bool) {
        self.control.u32(at::AWAITED).store(awaited.into(), Ordering::Relaxed);
    }

    /// Nanoseconds to add to a clock of clock_gettime.
    pub fn set_clock_offset(&self, clock: u64, offset: i64) {
        if clock < at::CLOCKS {
            self.control.i64(at::CLOCK_OFFSETS + 8 * clock).store(offset, Ordering::SeqCst);
        }
    }

    /// Whether a call may be made in process.
    pub fn allow(&self, number: u16, allowed: bool) {
        if u64::from(number) < at::ALLOWED_LEN {
            self.control.u8(at::ALLOWED + u64::from(number)).store(allowed.into(), Ordering::SeqCst);
        }
    }

    /// What may be done with a descriptor in process (`MAY_*` of [`super::layout`]).
    pub fn set_descriptor(&self, fd: i32, may: u8) {
        if let Ok(fd) = u64::try_from(fd)
            && fd < at::DESCRIPTORS_LEN
        {
            self.control.u8(at::DESCRIPTORS + fd).store(may, Ordering::SeqCst);
        }
    }

    /// Calls made or answered in process.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.control.u64(at::CALLS).load(Ordering::Relaxed)
    }

    /// How often the interceptor waited for room in a ring.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.control.u64(at::WAITS).load(Ordering::Relaxed)
    }

    /// Whether the interceptor is in a call of its own; whether it is between a call of the server and its record.
    #[must_use]
    pub fn state(&self) -> (bool, bool) {
        let set = |offset| self.control.u32(offset).load(Ordering::SeqCst) != 0;
        (set(at::OWN), set(at::MADE))
    }

    /// The server's registers while the interceptor runs: see [`super::code::registers_of`].
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = Vec::new();
        self.control.read_into(len(code::places().frame - at::CONTROL), code::FRAME_LEN, &mut frame);
        frame
    }

    /// The digest of what the call under way has read, before it was made.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::resumed(self.control.u64(at::DIGEST).load(Ordering::SeqCst))
    }

    /// The result of the call that comes outside, if it has been made already. Asked once.
    #[must_use]
    pub fn take_finished(&self) -> Option<i64> {
        let finished = self.control.u32(at::FINISH).swap(0, Ordering::SeqCst) != 0;
        finished.then(|| self.control.i64(at::RESULT).load(Ordering::SeqCst))
    }

    /// Whether it has.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.control.u32(at::FINISH).load(Ordering::SeqCst) != 0
    }

    /// Forgets what is in the rings, and what the interceptor was doing. Only while the process stands still, and goes on outside of it.
    pub fn reset(&self) {
        for word in [at::HEAD, at::TOLD, at::TAIL, at::SEEN, at::TAKEN, at::OUTPUT_HEAD, at::OUTPUT_TAIL] {
            self.control.u64(word).store(0, Ordering::SeqCst);
        }
        for word in [at::OWN, at::MADE, at::FINISH, at::OWED, at::FILLED_SLEEPS, at::DRAINED_SLEEPS] {
            self.control.u32(word).store(0, Ordering::SeqCst);
        }
    }

    /// Bytes in the ring.
    #[must_use]
    pub fn filled(&self) -> u64 {
        ring::filled(self, Ring::Records, at::RING_LEN)
    }

    /// The consumer's end when recording: appends all records that are in the ring to `out`, and makes room.
    pub fn take(&self, out: &mut Vec<u8>) {
        let filled = self.filled();
        if filled == 0 {
            return;
        }
        self.ring.read_into(len(self.tail(Ring::Records) % at::RING_LEN), len(filled), out);
        ring::took(self, Ring::Records, filled);
    }

    /// Sleeps until the interceptor tells of records, or [`at::MUCH`] are there, or `patience` ends. Not when `stop` says so; who makes that true
    /// calls [`Shared::ring_bell`] afterwards.
    pub fn sleep_until_filled(&self, patience: Duration, stop: impl Fn() -> bool) {
        ring::sleep_until_filled(self, patience, at::MUCH, stop);
    }

    /// Wakes whoever sleeps in [`Shared::sleep_until_filled`], or the interceptor that waits for a record.
    pub fn ring_bell(&self) {
        Words::ring(self, Bell::Filled);
    }

    /// Room in the ring for its producer, in bytes.
    #[must_use]
    pub fn room(&self) -> u64 {
        at::RING_LEN - self.filled()
    }

    /// The producer's end when replaying: puts one record, or a mark, into the ring. `false` when there is no room.
    #[must_use]
    pub fn put(&self, bytes: &[u8]) -> bool {
        let mut batch = self.batch();
        let put = batch.put(bytes);
        batch.publish();
        put
    }

    /// For more than one at once.
    pub fn batch(&self) -> Batch<'_> {
        Batch { shared: self, room: self.room(), head: self.head(Ring::Records), len: 0 }
    }

    /// A mark: stands in the ring for a record that is to be taken outside. With `stop` the process waits at the return of the call
    /// before it, if that is answered in process.
    #[must_use]
    pub fn mark(stop: bool) -> [u8; at::MARK_LEN as usize] {
        let mut mark = [0; at::MARK_LEN as usize];
        mark[..4].copy_from_slice(&at::MARK_LEN.to_le_bytes());
        mark[4] = if stop { at::STOP_KIND } else { at::MARK_KIND };
        mark
    }

    /// Records and marks ever taken from the ring in replay.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.control.u64(at::TAKEN).load(Ordering::SeqCst)
    }

    /// Takes one record or mark of `bytes` bytes from the ring in the interceptor's place, while the process stands still.
    pub fn skip(&self, bytes: u64) {
        self.control.u64(at::TAIL).fetch_add(bytes, Ordering::SeqCst);
        self.control.u64(at::TAKEN).fetch_add(1, Ordering::SeqCst);
    }

    /// Appends all replayed output that the interceptor has put out to `out`. Each piece is a u64 length and the bytes, padded with
    /// zeros to 8; one for each record taken in process whose call sends, with a positive result, in the order of the records.
    /// It is there before the record counts as taken.
    pub fn take_output(&self, out: &mut Vec<u8>) {
        let filled = ring::filled(self, Ring::Output, at::OUTPUT_LEN);
        if filled == 0 {
            return;
        }
        self.output.read_into(len(self.tail(Ring::Output) % at::OUTPUT_LEN), len(filled), out);
        ring::took(self, Ring::Output, filled);
    }
}

/// Records and marks on their way into the ring. Nothing of it is there before [`Batch::publish`], so that whoever waits for them wakes
/// once.
#[derive(Debug)]
#[must_use]
pub struct Batch<'a> {
    shared: &'a Shared,
    room: u64,
    head: u64,
    len: u64,
}

impl Batch<'_> {
    /// Adds one. `false` when there is no room.
    #[must_use]
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        let len_after = self.len + bytes.len() as u64;
        if self.room < len_after {
            return false;
        }
        self.shared.ring.write(len((self.head + self.len) % at::RING_LEN), bytes);
        self.len = len_after;
        true
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets the consumer have it.
    pub fn publish(self) {
        if self.len > 0 {
            ring::put(self.shared, Ring::Records, self.len);
        }
    }
}

impl Shared {
    fn position(&self, ring: Ring, head: u64, output: u64) -> &AtomicU64 {
        self.control.u64(if ring == Ring::Records { head } else { output })
    }

    fn bell(&self, bell: Bell) -> &AtomicU32 {
        self.control.u32(if bell == Bell::Filled { at::FILLED } else { at::DRAINED })
    }

    fn sleeper(&self, bell: Bell) -> &AtomicU32 {
        self.control.u32(if bell == Bell::Filled { at::FILLED_SLEEPS } else { at::DRAINED_SLEEPS })
    }
}

impl Words for Shared {
    fn head(&self, ring: Ring) -> u64 {
        self.position(ring, at::HEAD, at::OUTPUT_HEAD).load(Ordering::Acquire)
    }

    fn set_head(&self, ring: Ring, position: u64) {
        self.position(ring, at::HEAD, at::OUTPUT_HEAD).store(position, Ordering::Release);
    }

    fn told(&self) -> u64 {
        self.control.u64(at::TOLD).load(Ordering::Acquire)
    }

    fn tail(&self, ring: Ring) -> u64 {
        self.position(ring, at::TAIL, at::OUTPUT_TAIL).load(Ordering::Acquire)
    }

    fn set_tail(&self, ring: Ring, position: u64) {
        self.position(ring, at::TAIL, at::OUTPUT_TAIL).store(position, Ordering::Release);
    }

    fn sleeps(&self, bell: Bell) -> bool {
        self.sleeper(bell).load(Ordering::Acquire) != 0
    }

    fn set_sleeps(&self, bell: Bell, sleeps: bool) {
        self.sleeper(bell).store(sleeps.into(), Ordering::Release);
    }

    fn rung(&self, bell: Bell) -> u32 {
        self.bell(bell).load(Ordering::Acquire)
    }

    fn ring(&self, bell: Bell) {
        wake(self.bell(bell));
    }

    fn sleep(&self, bell: Bell, rung: u32, patience: Duration) {
        wait(self.bell(bell), rung, patience);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

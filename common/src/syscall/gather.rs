//! Collects the memory that a call reads and writes, as its shape says.
//!
//! Recorder and replayer call the same functions around the same call: what the recorder logs or digests, the replayer
//! gathers again from its own process and compares.
//!
//! The check of a call's record is the [`Digest`] of these, in this order:
//!
//! 1. [`Digest::of_registers`]: among them all arguments, also those that the record does not hold;
//! 2. for each pointer of the shape, in its order, that is not null: [`Digest::bytes`] of the memory that is read and not
//!    logged (`Digest`, `InOut`); of a struct msghdr or of all mmsghdrs, and, where they are sent, then of each one's name and
//!    control data that are not empty. What cannot be read is `word(u64::MAX)`, also where it would be logged;
//! 3. [`Digest::bytes`] of each buffer of the server's output, cut to what the result says; a buffer of which nothing was sent
//!    is left out.
//!
//! A segment that stands exactly where its argument points has the address 0.

use thiserror::Error;

use super::nr;
use super::shape::{Direction, Length, Pointer, Shape};
use crate::abi::{PAGE, i32_at, int, size, u32_at, u64_at, uint};
use crate::digest::{Digest, REGISTERS};
use crate::record::{Segment, SegmentRole};

/// Longest path or name that a call may take (PATH_MAX).
const MAX_STRING: usize = 4096;
/// Bound on an input: poll(2) of as many descriptors as a process may have is the longest, 8 bytes for each.
const MAX_INPUT: usize = 16 << 20;
/// Bound on anything that is read at once: no single call moves more (MAX_RW_COUNT).
const MAX_TRANSFER: usize = 1 << 31;
const MSGHDR: usize = 56;
const MMSGHDR: usize = 64;
/// struct cmsghdr: length (8), level (4), type (4).
const CMSGHDR: usize = 16;
/// UIO_MAXIOV.
const MAX_IOVEC: usize = 1024;

/// An address that the process cannot read.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("{length} bytes at {address:#x} cannot be read in the server's memory")]
pub struct Fault {
    /// Where.
    pub address: u64,
    /// How many bytes.
    pub length: usize,
}

/// The memory of the server, stopped.
pub trait Memory {
    /// Fills `buffer` from `address`.
    ///
    /// # Errors
    /// When a part of it is not mapped.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Fault>;

    /// `length` bytes from `address`.
    ///
    /// # Errors
    /// As [`Memory::read`].
    fn bytes(&self, address: u64, length: usize) -> Result<Vec<u8>, Fault> {
        if length > MAX_TRANSFER {
            return Err(Fault { address, length });
        }
        let mut buffer = vec![0; length];
        self.read(address, &mut buffer)?;
        Ok(buffer)
    }
}

/// What was gathered before a call executes.
#[derive(Clone)]
pub struct Gathered {
    /// Logged inputs.
    pub inputs: Vec<Segment>,
    digest: Digest,
    /// The buffer length that the caller offered (value-result arguments).
    capacity: usize,
    /// struct msghdr or mmsghdr, or the vector of what is read, as it was before the call, which may write over it.
    header: Vec<u8>,
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered").field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl Gathered {
    /// The same with the digest that was made before the call, for one that has been made already.
    #[must_use]
    pub fn with_digest(self, digest: Digest) -> Self {
        Self { digest, ..self }
    }

    /// The digest that was made before the call.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many bytes the caller's buffer takes, for a call that puts the length it needs in the place of this one.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

/// The bytes of a NUL-terminated string, without the NUL.
///
/// # Errors
/// When it is not readable up to its end.
pub fn c_string(memory: &dyn Memory, address: u64) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    while out.len() < MAX_STRING {
        let at = address.saturating_add(out.len() as u64);
        let until_page_end = 256.min(4096 - (at % 4096) as usize);
        let chunk = memory.bytes(at, until_page_end)?;
        if let Some(end) = chunk.iter().position(|&b| b == 0) {
            out.extend_from_slice(&chunk[..end]);
            return Ok(out);
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out)
}

fn vector(memory: &dyn Memory, address: u64, count: u64) -> Result<Vec<u8>, Fault> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_IOVEC);
    memory.bytes(address, count * 16)
}

fn buffers(vector: &[u8]) -> Vec<(u64, usize)> {
    vector.chunks_exact(16).map(|entry| (u64_at(entry, 0), size(u64_at(entry, 8)))).collect()
}

fn iovecs(memory: &dyn Memory, address: u64, count: u64) -> Result<Vec<(u64, usize)>, Fault> {
    Ok(buffers(&vector(memory, address, count)?))
}

/// Cuts a list of buffers to `total` bytes; those of which nothing is left are not in it.
fn bounded(buffers: Vec<(u64, usize)>, mut total: usize) -> impl Iterator<Item = (u64, usize)> {
    let cut = buffers.into_iter().map(move |(address, length)| {
        let take = length.min(total);
        total -= take;
        (address, take)
    });
    cut.filter(|&(_, length)| length > 0)
}

/// A segment of argument `arg`, its address left out where the argument says it.
fn segment(args: &[u64; 6], role: SegmentRole, arg: u8, address: u64, bytes: Vec<u8>) -> Segment {
    let address = if args[usize::from(arg)] == address { 0 } else { address };
    Segment { address, role, arg: arg.into(), bytes }
}

/// Takes in memory, or that it cannot be read: the call will fail with EFAULT, and must on replay as well.
fn take_in(digest: &mut Digest, bytes: Result<&[u8], Fault>) {
    match bytes {
        Ok(bytes) => digest.bytes(bytes),
        Err(Fault { .. }) => digest.word(u64::MAX),
    }
}

fn positive(result: i64) -> usize {
    usize::try_from(result).unwrap_or(0)
}

/// Length of an input whose size is known before the call.
fn input_length(pointer: &Pointer, args: &[u64; 6]) -> usize {
    let length = match pointer.length {
        Length::Fixed(length) => length as usize,
        Length::Arg(arg, scale) => (args[usize::from(arg)] & 0xffff_ffff) as usize * scale as usize,
        Length::Pages(arg) => usize::try_from(args[usize::from(arg)].div_ceil(PAGE)).unwrap_or(MAX_INPUT),
        Length::FdSet => usize::try_from(int(args[0])).unwrap_or(0),
        _ => 0,
    };
    let length = if pointer.length == Length::FdSet { length.div_ceil(64) * 8 } else { length };
    length.min(MAX_INPUT)
}

/// Gathers what a call reads before it executes; `registers` are those of [`Digest::of_registers`].
#[must_use]
pub fn at_entry(shape: &Shape, args: &[u64; 6], registers: &[u64; REGISTERS], memory: &dyn Memory) -> Gathered {
    let digest = Digest::of_registers(registers);
    let mut gathered = Gathered { inputs: Vec::new(), digest, capacity: 0, header: Vec::new() };
    for pointer in shape.pointers {
        let address = args[usize::from(pointer.arg)];
        if address == 0 {
            continue;
        }
        if let Length::ValueResult(arg) = pointer.length {
            let length = memory.bytes(args[usize::from(arg)], 4).map_or(0, |raw| u32_at(&raw, 0));
            gathered.capacity = (length as usize).min(MAX_INPUT);
            continue;
        }
        if matches!(pointer.length, Length::Msghdr | Length::Mmsghdr) {
            gathered.message_headers(pointer, args, memory);
            continue;
        }
        if let (Direction::Out, Length::Iovec(count)) = (pointer.direction, pointer.length) {
            gathered.header = vector(memory, address, args[usize::from(count)]).unwrap_or_default();
            continue;
        }
        let (address, bytes) = match (pointer.direction, pointer.length) {
            (Direction::In, Length::CString) => (address, c_string(memory, address)),
            (Direction::In, Length::SigsetPair) => {
                let inner = memory.bytes(address, 16).map_or(0, |pair| u64_at(&pair, 0));
                if inner == 0 {
                    continue;
                }
                (inner, memory.bytes(inner, 8))
            }
            (Direction::In | Direction::Digest | Direction::InOut, _) => {
                (address, memory.bytes(address, input_length(pointer, args)))
            }
            (Direction::Bulk | Direction::Out | Direction::OutAlways, _) => continue,
        };
        match bytes {
            Ok(bytes) if pointer.direction == Direction::In => {
                gathered.inputs.push(segment(args, SegmentRole::In, pointer.arg, address, bytes));
            }
            other => take_in(&mut gathered.digest, other.as_deref().map_err(|fault| *fault)),
        }
    }
    gathered
}

impl Gathered {
    fn message_headers(&mut self, pointer: &Pointer, args: &[u64; 6], memory: &dyn Memory) {
        let address = args[usize::from(pointer.arg)];
        let length = match pointer.length {
            Length::Msghdr => MSGHDR,
            _ => MMSGHDR * (uint(args[2]) as usize).min(MAX_IOVEC),
        };
        let header = memory.bytes(address, length);
        take_in(&mut self.digest, header.as_deref().map_err(|fault| *fault));
        let Ok(header) = header else { return };
        if pointer.direction == Direction::Bulk {
            for one in header.chunks(MMSGHDR) {
                for (pointer, length) in
                    [(u64_at(one, 0), u32_at(one, 8) as usize), (u64_at(one, 32), size(u64_at(one, 40)))]
                {
                    if pointer != 0 && length != 0 {
                        let bytes = memory.bytes(pointer, length.min(MAX_INPUT));
                        take_in(&mut self.digest, bytes.as_deref().map_err(|fault| *fault));
                    }
                }
            }
        }
        self.header = header;
    }

    /// Whether a message that a call sends carries descriptors (SCM_RIGHTS in its control data, cmsg(3)).
    #[must_use]
    pub fn sends_descriptors(&self, memory: &dyn Memory) -> bool {
        self.header.chunks(MMSGHDR).filter(|one| one.len() >= MSGHDR).any(|one| {
            let length = usize::try_from(u64_at(one, 40)).unwrap_or(usize::MAX).min(MAX_INPUT);
            let control = memory.bytes(u64_at(one, 32), length).unwrap_or_default();
            control_messages(&control).any(|kind| kind == (libc::SOL_SOCKET, libc::SCM_RIGHTS))
        })
    }
}

/// Level and type of each message in control data.
fn control_messages(mut control: &[u8]) -> impl Iterator<Item = (i32, i32)> {
    std::iter::from_fn(move || {
        let here = control.get(..CMSGHDR)?;
        let length = usize::try_from(u64_at(here, 0)).unwrap_or(usize::MAX);
        if length < CMSGHDR {
            return None;
        }
        control = control.get(length.checked_next_multiple_of(8).unwrap_or(usize::MAX)..).unwrap_or_default();
        Some((i32_at(here, 8), i32_at(here, 12)))
    })
}

/// What is known of a call when it has finished: the server's output, in order, and the record's check.
///
/// # Errors
/// When the output is no longer readable.
pub fn at_exit(
    gathered: &Gathered,
    shape: &Shape,
    args: &[u64; 6],
    result: i64,
    memory: &dyn Memory,
) -> Result<(Vec<u8>, u64), Fault> {
    let (mut out, mut digest) = (Vec::new(), gathered.digest);
    for (address, length) in sent(gathered, shape, args, result, memory)? {
        let bytes = memory.bytes(address, length)?;
        digest.bytes(&bytes);
        if out.is_empty() {
            out = bytes;
        } else {
            out.extend(bytes);
        }
    }
    Ok((out, digest.finish()))
}

/// The buffers from which bytes left in this call, in order, each as far as they did.
fn sent(
    gathered: &Gathered,
    shape: &Shape,
    args: &[u64; 6],
    result: i64,
    memory: &dyn Memory,
) -> Result<Vec<(u64, usize)>, Fault> {
    let Some(pointer) = shape.pointers.iter().find(|p| p.direction == Direction::Bulk) else { return Ok(Vec::new()) };
    let address = args[usize::from(pointer.arg)];
    let total = positive(result);
    if total == 0 || address == 0 {
        return Ok(Vec::new());
    }
    Ok(match pointer.length {
        Length::Iovec(count) => bounded(iovecs(memory, address, args[usize::from(count)])?, total).collect(),
        Length::Msghdr => {
            bounded(iovecs(memory, u64_at(&gathered.header, 16), u64_at(&gathered.header, 24))?, total).collect()
        }
        Length::Mmsghdr => {
            let mut all = Vec::new();
            for index in 0..total {
                let one = memory.bytes(address.saturating_add((index * MMSGHDR) as u64), MMSGHDR)?;
                // msg_len is written back by the kernel; a replayer knows it from the record's output segment.
                let sent = u32_at(&one, 56) as usize;
                all.extend(bounded(iovecs(memory, u64_at(&one, 16), u64_at(&one, 24))?, sent));
            }
            all
        }
        _ => vec![(address, total)],
    })
}

/// What a call wrote, read after it executed.
///
/// # Errors
/// When the memory that a successful call has written is not readable.
pub fn outputs(
    gathered: &Gathered,
    shape: &Shape,
    args: &[u64; 6],
    result: i64,
    memory: &dyn Memory,
) -> Result<Vec<Segment>, Fault> {
    if result == -i64::from(libc::EFAULT) {
        return Ok(partial(gathered, shape, args, memory));
    }
    let mut out = Vec::new();
    let mut push = |arg: u8, address: u64, length: usize| -> Result<(), Fault> {
        if length > 0 && address != 0 {
            let bytes = memory.bytes(address, length)?;
            out.push(segment(args, SegmentRole::Out, arg, address, bytes));
        }
        Ok(())
    };
    for pointer in shape.pointers {
        let (arg, address) = (pointer.arg, args[usize::from(pointer.arg)]);
        let writes = match pointer.direction {
            Direction::Out => result >= 0,
            Direction::OutAlways | Direction::InOut => true,
            Direction::Bulk => pointer.length == Length::Mmsghdr && result > 0,
            Direction::In | Direction::Digest => false,
        };
        if !writes || address == 0 {
            continue;
        }
        match pointer.length {
            Length::Fixed(_) | Length::Arg(..) | Length::Pages(_) | Length::FdSet => {
                // Nothing was written to memory that is not there: the call failed before, or left it out.
                let perhaps = result < 0 || pointer.direction == Direction::OutAlways;
                match push(arg, address, input_length(pointer, args)) {
                    Err(_) if perhaps => {}
                    other => other?,
                }
            }
            Length::Result(scale) => {
                let mut length = positive(result).saturating_mul(scale as usize);
                if shape.number == nr::RECVFROM {
                    length = length.min(usize::try_from(args[2]).unwrap_or(usize::MAX));
                }
                if shape.number == nr::GETGROUPS && args[0] == 0 {
                    length = 0;
                }
                push(arg, address, length)?;
            }
            Length::ValueResult(length_arg) => {
                let real = u32_at(&memory.bytes(args[usize::from(length_arg)], 4)?, 0) as usize;
                push(arg, address, real.min(gathered.capacity))?;
            }
            Length::Iovec(_) => {
                for (address, length) in bounded(buffers(&gathered.header), positive(result)) {
                    push(arg, address, length)?;
                }
            }
            Length::Msghdr => {
                let header = gathered.header.clone();
                received(&mut push, arg, address, &header, positive(result), memory)?;
            }
            Length::Mmsghdr => {
                let received_here = if pointer.direction == Direction::Out { positive(result) } else { 0 };
                for index in 0..received_here {
                    let at = address.saturating_add((index * MMSGHDR) as u64);
                    let length = u32_at(&memory.bytes(at.saturating_add(56), 4)?, 0) as usize;
                    let header = gathered.header.get(index * MMSGHDR..).unwrap_or_default();
                    received(&mut push, arg, at, header, length, memory)?;
                }
                push(arg, address, positive(result).saturating_mul(MMSGHDR))?;
            }
            Length::CString | Length::SigsetPair => {}
        }
    }
    Ok(out)
}

/// What a call may have written before it met memory that is not there: each buffer up to that point.
fn partial(gathered: &Gathered, shape: &Shape, args: &[u64; 6], memory: &dyn Memory) -> Vec<Segment> {
    let mut out = Vec::new();
    for pointer in shape.pointers {
        if matches!(pointer.direction, Direction::In | Direction::Digest | Direction::Bulk) {
            continue;
        }
        let address = args[usize::from(pointer.arg)];
        let buffers = match pointer.length {
            Length::Fixed(_) | Length::Arg(..) | Length::Pages(_) | Length::FdSet => {
                vec![(address, input_length(pointer, args))]
            }
            Length::Result(scale) => {
                // The kernel's int or size_t, one argument behind the buffer.
                let arg = if shape.number == nr::GETGROUPS { 0 } else { usize::from(pointer.arg) + 1 };
                let count = usize::try_from(args.get(arg).copied().unwrap_or(0)).unwrap_or(usize::MAX);
                vec![(address, count.saturating_mul(scale as usize))]
            }
            Length::ValueResult(_) => vec![(address, gathered.capacity)],
            Length::Iovec(_) => buffers(&gathered.header),
            Length::Msghdr | Length::Mmsghdr => {
                let (list, count) = (u64_at(&gathered.header, 16), u64_at(&gathered.header, 24));
                iovecs(memory, list, count).unwrap_or_default()
            }
            Length::CString | Length::SigsetPair => Vec::new(),
        };
        for (address, length) in buffers {
            let bytes = readable(memory, address, length);
            if !bytes.is_empty() {
                out.push(segment(args, SegmentRole::Out, pointer.arg, address, bytes));
            }
        }
    }
    out
}

/// The bytes from `address` on, `length` or as many as can be read.
fn readable(memory: &dyn Memory, address: u64, length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while out.len() < length {
        let Some(at) = address.checked_add(out.len() as u64) else { break };
        let until_page_end = size(PAGE - at % PAGE);
        let Ok(bytes) = memory.bytes(at, until_page_end.min(length - out.len())) else { break };
        out.extend(bytes);
    }
    out
}

/// One received message: data, name, control, and the lengths and flags in its header.
fn received(
    push: &mut impl FnMut(u8, u64, usize) -> Result<(), Fault>,
    arg: u8,
    at: u64,
    header: &[u8],
    length: usize,
    memory: &dyn Memory,
) -> Result<(), Fault> {
    for (address, length) in bounded(iovecs(memory, u64_at(header, 16), u64_at(header, 24))?, length) {
        push(arg, address, length)?;
    }
    let after = memory.bytes(at, MSGHDR)?;
    push(arg, u64_at(header, 0), (u32_at(&after, 8) as usize).min(u32_at(header, 8) as usize))?;
    push(arg, u64_at(header, 32), size(u64_at(&after, 40)).min(size(u64_at(header, 40))))?;
    push(arg, at.saturating_add(8), 4)?;
    push(arg, at.saturating_add(40), 12)
}

#[cfg(test)]
mod tests {
    use super::super::resolve;
    use super::*;

    /// Those of a call with these arguments.
    fn of(args: &[u64; 6]) -> [u64; REGISTERS] {
        std::array::from_fn(|index| args.get(index).copied().unwrap_or(0x40 + index as u64))
    }

    struct Flat(Vec<u8>);

    impl Memory for Flat {
        fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Fault> {
            let fault = Fault { address, length: buffer.len() };
            let start = size(address).checked_sub(4096).ok_or(fault)?;
            let source = self.0.get(start..start + buffer.len()).ok_or(fault)?;
            buffer.copy_from_slice(source);
            Ok(())
        }
    }

    #[test]
    fn a_read_yields_as_many_bytes_as_its_result() {
        let memory = Flat((0..64).collect());
        let args = [3, 4096, 64, 0, 0, 0];
        let shape = resolve(u64::from(nr::READ), &args).unwrap();
        let gathered = at_entry(shape, &args, &of(&args), &memory);
        let out = outputs(&gathered, shape, &args, 5, &memory).unwrap();
        assert_eq!(out[0].bytes, [0, 1, 2, 3, 4]);
        assert!(outputs(&gathered, shape, &args, -11, &memory).unwrap().is_empty());
    }

    #[test]
    fn a_write_is_digested_up_to_its_result() {
        let args = [3, 4096, 8, 0, 0, 0];
        let shape = resolve(u64::from(nr::WRITE), &args).unwrap();
        let check = |memory: &Flat, result| {
            at_exit(&at_entry(shape, &args, &of(&args), memory), shape, &args, result, memory).unwrap().1
        };
        let (one, two) = (Flat(b"abcdefgh".to_vec()), Flat(b"abcdXfgh".to_vec()));
        assert_eq!(check(&one, 4), check(&two, 4));
        assert_ne!(check(&one, 8), check(&two, 8));
    }

    #[test]
    fn writev_gathers_across_its_buffers() {
        let mut raw = Vec::new();
        for (address, length) in [(4096u64 + 32, 3u64), (4096 + 40, 3)] {
            raw.extend(address.to_le_bytes());
            raw.extend(length.to_le_bytes());
        }
        raw.extend(b"abc.....defg....");
        let memory = Flat(raw);
        let args = [1, 4096, 2, 0, 0, 0];
        let shape = resolve(u64::from(nr::WRITEV), &args).unwrap();
        let gathered = at_entry(shape, &args, &of(&args), &memory);
        let (bulk, check) = at_exit(&gathered, shape, &args, 5, &memory).unwrap();
        assert_eq!(bulk, b"abcde");
        let mut digest = Digest::of_registers(&of(&args));
        [&b"abc"[..], b"de"].into_iter().for_each(|piece| digest.bytes(piece));
        assert_eq!(check, digest.finish());
    }

    #[test]
    fn a_buffer_of_which_nothing_was_sent_is_no_piece() {
        let mut raw = Vec::new();
        for (address, length) in [(4096u64, 0u64), (4096 + 48, 2), (4096, 0), (4096 + 50, 2)] {
            raw.extend(address.to_le_bytes());
            raw.extend(length.to_le_bytes());
        }
        let memory = Flat(raw);
        let args = [1, 4096, 4, 0, 0, 0];
        let shape = resolve(u64::from(nr::WRITEV), &args).unwrap();
        let gathered = at_entry(shape, &args, &of(&args), &memory);
        let found = |result| sent(&gathered, shape, &args, result, &memory).unwrap();
        assert_eq!(found(3), [(4096 + 48, 2), (4096 + 50, 1)]);
        assert_eq!(found(2), [(4096 + 48, 2)]);
        assert!(found(0).is_empty() && found(-11).is_empty());
    }

    #[test]
    fn a_call_that_reads_nothing_has_the_check_of_its_registers() {
        let shape = resolve(u64::from(nr::CLOSE), &[3, 0, 0, 0, 0, 0]).unwrap();
        let memory = Flat(Vec::new());
        let registers = of(&[3, 0, 0, 0, 0, 0]);
        let gathered = at_entry(shape, &[3, 0, 0, 0, 0, 0], &registers, &memory);
        let check = at_exit(&gathered, shape, &[3, 0, 0, 0, 0, 0], 0, &memory).unwrap().1;
        assert_eq!(check, Digest::of_registers(&registers).finish());
        assert_ne!(check, Digest::of_refusal(&registers).finish());
    }

    #[test]
    fn what_is_not_logged_is_in_the_check() {
        let memory = Flat(vec![1; 64]);
        let check = |number, args: [u64; 6]| {
            let shape = resolve(u64::from(number), &args).unwrap();
            at_exit(&at_entry(shape, &args, &of(&args), &memory), shape, &args, 0, &memory).unwrap().1
        };
        let mut digest = Digest::of_registers(&of(&[4096, 2, 5, 9, 9, 9]));
        digest.bytes(&[1; 16]);
        assert_eq!(check(nr::POLL, [4096, 2, 5, 9, 9, 9]), digest.finish());
        assert_ne!(check(nr::READ, [3, 4096, 8, 0, 0, 0]), check(nr::READ, [3, 4097, 8, 0, 0, 0]));
        let mut unreadable = Digest::of_registers(&of(&[1, 1, 5, 0, 0, 0]));
        unreadable.word(u64::MAX);
        assert_eq!(check(nr::POLL, [1, 1, 5, 0, 0, 0]), unreadable.finish());
    }

    #[test]
    fn only_an_address_that_the_argument_does_not_say_is_in_a_segment() {
        let mut raw = vec![0; 64];
        raw[..8].copy_from_slice(&(4096u64 + 40).to_le_bytes());
        raw[8..16].copy_from_slice(&8u64.to_le_bytes());
        let memory = Flat(raw);
        let outputs = |number, args: [u64; 6]| {
            let shape = resolve(u64::from(number), &args).unwrap();
            outputs(&at_entry(shape, &args, &of(&args), &memory), shape, &args, 3, &memory).unwrap()
        };
        let (read, readv) = (outputs(nr::READ, [3, 4100, 64, 0, 0, 0]), outputs(nr::READV, [3, 4096, 1, 0, 0, 0]));
        assert_eq!((read[0].address, read[0].place(&[3, 4100, 64, 0, 0, 0])), (0, Some(4100)));
        assert_eq!((readv[0].address, readv[0].place(&[3, 4096, 1, 0, 0, 0])), (4096 + 40, Some(4096 + 40)));
    }
}

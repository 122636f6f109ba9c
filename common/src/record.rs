//! The record: one event that the server could not have computed by itself, or that must be compared.
//!
//! A record is a head, its result and arguments, its segments; everything little endian, each part padded to 8 bytes:
//!
//! ```text
//!  0 u32 length of the whole record in bytes, a multiple of 8
//!  4 u8  kind
//!  5 u8  bits 0 to 5: which of the six arguments are in the record (bit i: argument i); bit 6: NARROW; bit 7: FAST
//!  6 u16 number: the system call, the signal, ... (see [`Kind`])
//!  8 u64 check: digest of what replay recomputes and the record does not hold
//! 16 i64 result, u64 for each argument whose bit is set, ascending; NARROW: i32, u32 for each
//!    segments until the end: u32 length of the bytes, u16 role (bit 15: an address follows), u16 argument index,
//!    u64 address if bit 15 is set, then the bytes, padded to 8
//! ```
//!
//! A record is NARROW when its result and its arguments are the same in 32 bits (those of most calls), and never otherwise: each
//! has one form.
//!
//! The check is a [`crate::digest::Digest`]; what goes into it stands at [`crate::syscall::gather`].
//!
//! The same bytes stand in the recorder's buffer, on the wire, on disk and in the backup. The LSN of a record is the number
//! of bytes of all records before it.

use thiserror::Error;

/// Bytes before the result.
const HEAD_LEN: usize = 16;
/// The shortest record in bytes: the head and a result.
pub const MIN_RECORD: usize = 24;
/// Upper bound of one record in bytes: a mapping of a large file is the largest.
pub const MAX_RECORD: usize = 1 << 30;
/// Bytes before the bytes of a segment, without the address.
const SEGMENT_HEADER_LEN: usize = 8;
const ADDRESS_LEN: usize = 8;
/// Bits of byte 5: which arguments are there.
const ARGS: u8 = 0x3f;
/// Bit of byte 5: result and arguments have 32 bits each.
const NARROW: u8 = 0x40;
/// Bit of byte 5: see [`Record::fast`].
const FAST: u8 = 0x80;
/// Bit of a segment's role: an address follows.
const HAS_ADDRESS: u16 = 0x8000;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A system call: number, result (negative errno included, also the kernel's restart codes -512 to -516), arguments.
    Call = 1,
    /// A signal delivered: number = signal; result = [`Placement`]; arguments = mask saved in the frame, mask in force when the
    /// handler is chosen; one segment with siginfo.
    Signal = 2,
    /// An instruction that traps, or one of ftrun's in the place of which the interceptor answers: number = [`Instruction`]; arguments = rip,
    /// then the registers it leaves (rax, rbx, rcx, rdx).
    Instruction = 3,
    /// The replica that writes the log acts in a new epoch: argument 0.
    Epoch = 4,
    /// Code that was patched right after the call or the trapped instruction before it; one [`SegmentRole::Out`] segment for each piece of
    /// code. Arguments = none, of sites of cpuid; site, trampoline, one past the replaced bytes, where the instructions behind the site went
    /// (0: they are where they were), of a site that leads to the interceptor; and the length of its instruction, if that is no call.
    Patch = 5,
    /// Nothing has happened to the server up to here: where its state is that of the [`SegmentRole::Position`] segment. A replica may pass it over.
    Position = 9,
    /// The server has ended: result = wait status as of waitpid(2). Nothing follows.
    End = 6,
    /// A digest of the server's memory where it makes its next call, which is made outside: number = [`crate::memory::Scope`]; result
    /// = pages that are not zero; check as [`crate::memory`] says; one segment of role [`SegmentRole::Pages`].
    Memory = 8,
    /// The server has become another program: number and arguments of the call, which its check includes as that of a call; the
    /// process as it stands before its first instruction ([`SegmentRole::Snapshot`], and its memory as `Out` segments);
    /// [`SegmentRole::Path`] is the name that it has now.
    Exec = 7,
}

/// Where a signal is delivered, relative to the calls around its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i64)]
pub enum Placement {
    /// At the return of the call recorded before, which it interrupted.
    Exit = 0,
    /// The instruction that the server runs into faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP): it needs no placing.
    Fault = 1,
    /// Between two calls, where the server's state is that of the [`SegmentRole::Position`] segment.
    State = 2,
}

/// A trapped instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Instruction {
    /// Reads the time-stamp counter.
    Rdtsc = 1,
    /// Reads the time-stamp counter and the processor id.
    Rdtscp = 2,
    /// Asks for processor features.
    Cpuid = 3,
    /// Saves extended state: argument 0 is all there is, a replica does the same.
    Xsave = 4,
}

/// What the bytes of a segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum SegmentRole {
    /// Memory that the call read: compared on replay, and what the kernel-state model learns from (a path, an address).
    In = 1,
    /// Memory that the call wrote: copied in on replay.
    Out = 2,
    /// Bytes that left through a descriptor without standing in the server's memory (sendfile), or that went into a pipe or
    /// socket pair which the model carries (write). `address` is 0.
    Sent = 3,
    /// accept: the address of the peer (struct sockaddr). `address` is 0.
    Peer = 4,
    /// accept, bind, listen, connect: the own address as the server is to see it. `address` is 0.
    Local = 5,
    /// The primary's CLOCK_MONOTONIC in nanoseconds when a timer was set: u64. `address` is 0.
    Clock = 6,
    /// The absolute path of what was opened or entered, symbolic links resolved. `address` is 0.
    Path = 7,
    /// siginfo_t of a signal (128 bytes); of the one that waits behind the mask when its interval timer is set anew. `address` is 0.
    SigInfo = 8,
    /// A [`crate::position::Position`]: where a signal is delivered. `address` is 0.
    Position = 9,
    /// Digests of pages, [`crate::memory::Pages`]. `address` is 0.
    Pages = 11,
    /// A [`FileState`]: of the file that is mapped with MAP_SHARED, or that is mapped so and was changed. `address` is 0.
    File = 10,
    /// A [`crate::snapshot::Manifest`], encoded, without a kernel-state model: the program that the server has become. `address` is 0.
    Snapshot = 12,
}

/// A file of the primary that is mapped with MAP_SHARED, as a segment of role [`SegmentRole::File`] holds it: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileState {
    /// st_dev.
    pub device: u64,
    /// st_ino.
    pub inode: u64,
    /// Its length in bytes after the call.
    pub size: u64,
}

impl FileState {
    /// As bytes: device, inode, size, little endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.device, self.inode, self.size].iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// From the bytes of a segment; `None` when they are not [`FileState::encode`]d.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let [device, inode, size] = words else { return None };
        let [device, inode, size] = [device, inode, size].map(|word| u64::from_le_bytes(*word));
        rest.is_empty().then_some(Self { device, inode, size })
    }
}

/// One run of bytes that belongs to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where in the server's memory. 0 for `In` and `Out` is where argument `arg` of the call points, as the process that
    /// makes the call has it ([`Segment::place`]); with the other roles it has no meaning.
    pub address: u64,
    /// What it is.
    pub role: SegmentRole,
    /// Which argument of the call points to it.
    pub arg: u16,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// One record, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it tells.
    pub kind: Kind,
    /// System call, signal or instruction.
    pub number: u16,
    /// Result of a call; see [`Kind`] for the others.
    pub result: i64,
    /// Digest of what replay recomputes and the record does not hold.
    pub check: u64,
    /// Written, or to be taken, in process: between the return of this call, or the end of this instruction, and the server's next call,
    /// trapped instruction or fault nothing happens to it but its own instructions. Only calls and instructions are.
    pub fast: bool,
    /// Which arguments the record holds: bit i for argument i.
    pub logged: u8,
    /// The arguments; 0 where the record does not hold them.
    pub args: [u64; 6],
    /// Memory and other data.
    pub segments: Vec<Segment>,
}

/// Why bytes are no record.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes end within a record.
    #[error("a record needs {needed} bytes, only {found} are there")]
    Short {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// The length field is impossible.
    #[error(
        "a record claims a length of {found} bytes, expected a multiple of 8 between {MIN_RECORD} and {MAX_RECORD}"
    )]
    Length {
        /// The claim.
        found: usize,
    },
    /// Kind, flags, segment role, address or padding are outside of the format.
    #[error("a record has {what} {found}, which this version does not know")]
    Unknown {
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
}

impl Kind {
    /// Whether it can be written, or taken, in process.
    fn can_be_fast(self) -> bool {
        matches!(self, Self::Call | Self::Instruction)
    }

    fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Call,
            2 => Self::Signal,
            3 => Self::Instruction,
            4 => Self::Epoch,
            5 => Self::Patch,
            6 => Self::End,
            7 => Self::Exec,
            8 => Self::Memory,
            9 => Self::Position,
            _ => return None,
        })
    }
}

impl SegmentRole {
    fn from_u16(value: u16) -> Option<Self> {
        Some(match value {
            1 => Self::In,
            2 => Self::Out,
            3 => Self::Sent,
            4 => Self::Peer,
            5 => Self::Local,
            6 => Self::Clock,
            7 => Self::Path,
            8 => Self::SigInfo,
            9 => Self::Position,
            11 => Self::Pages,
            10 => Self::File,
            12 => Self::Snapshot,
            _ => return None,
        })
    }
}

impl Placement {
    /// Reads the result field of a [`Kind::Signal`] record.
    #[must_use]
    pub fn from_result(value: i64) -> Option<Self> {
        match value {
            0 => Some(Self::Exit),
            1 => Some(Self::Fault),
            2 => Some(Self::State),
            _ => None,
        }
    }
}

fn leading_mask(count: usize) -> u8 {
    ARGS >> (6 - count.min(6))
}

fn pad(len: usize) -> usize {
    len.next_multiple_of(8)
}

impl Record {
    /// A record without arguments and segments.
    #[must_use]
    pub fn new(kind: Kind, number: u16, result: i64) -> Self {
        Self { kind, number, result, check: 0, fast: false, logged: 0, args: [0; 6], segments: Vec::new() }
    }

    /// The same with these as its first arguments; those behind the sixth are left out.
    #[must_use]
    pub fn with_args(self, leading: &[u64]) -> Self {
        let mut args = [0; 6];
        for (to, from) in args.iter_mut().zip(leading) {
            *to = *from;
        }
        self.with_logged(&args, leading_mask(leading.len()))
    }

    /// The same with those of the six arguments whose bit is set in `mask`.
    #[must_use]
    pub fn with_logged(mut self, args: &[u64; 6], mask: u8) -> Self {
        self.logged = mask & ARGS;
        self.args = std::array::from_fn(|index| if self.logged >> index & 1 == 1 { args[index] } else { 0 });
        self
    }

    /// Whether result and arguments are the same in 32 bits.
    fn is_narrow(&self) -> bool {
        let arg = |index| self.logged_arg(index).is_none_or(|arg| u32::try_from(arg).is_ok());
        i32::try_from(self.result).is_ok() && (0..6).all(arg)
    }

    /// Bytes that it takes in the log.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let segments: usize = self.segments.iter().map(Segment::encoded_len).sum();
        let numbers = 1 + (self.logged & ARGS).count_ones() as usize;
        HEAD_LEN + pad(if self.is_narrow() { 4 } else { 8 } * numbers) + segments
    }

    /// Appends its bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let len = self.encoded_len();
        debug_assert!(len <= MAX_RECORD && self.logged <= ARGS, "a record within its bounds");
        debug_assert!(!self.fast || self.kind.can_be_fast(), "only calls and instructions are fast");
        let start = out.len();
        out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        out.push(self.kind as u8);
        let narrow = self.is_narrow();
        out.push(self.logged & ARGS | if self.fast { FAST } else { 0 } | if narrow { NARROW } else { 0 });
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.check.to_le_bytes());
        let width = if narrow { 4 } else { 8 };
        out.extend_from_slice(&self.result.to_le_bytes()[..width]);
        for arg in (0..6).filter_map(|index| self.logged_arg(index)) {
            out.extend_from_slice(&arg.to_le_bytes()[..width]);
        }
        out.resize(start + pad(out.len() - start), 0);
        for segment in &self.segments {
            let has_address = if segment.address == 0 { 0 } else { HAS_ADDRESS };
            out.extend_from_slice(&u32::try_from(segment.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&(segment.role as u16 | has_address).to_le_bytes());
            out.extend_from_slice(&segment.arg.to_le_bytes());
            if segment.address != 0 {
                out.extend_from_slice(&segment.address.to_le_bytes());
            }
            out.extend_from_slice(&segment.bytes);
            out.resize(start + pad(out.len() - start), 0);
        }
    }

    /// Length of the record that begins at `bytes`, once at least 4 bytes are there.
    ///
    /// # Errors
    /// When the length field is impossible.
    pub fn peek_len(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
        let Some(prefix) = bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let found = u32::from_le_bytes(*prefix) as usize;
        if !(MIN_RECORD..=MAX_RECORD).contains(&found) || !found.is_multiple_of(8) {
            return Err(RecordError::Length { found });
        }
        Ok(Some(found))
    }

    /// Decodes the record at the start of `bytes` and says how many bytes it took.
    ///
    /// # Errors
    /// When the bytes end early or are malformed.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), RecordError> {
        let short = |needed: usize| RecordError::Short { needed, found: bytes.len() };
        let len = Self::peek_len(bytes)?.ok_or_else(|| short(MIN_RECORD))?;
        let body = bytes.get(..len).ok_or_else(|| short(len))?;
        let unknown = |what, found| RecordError::Unknown { what, found };
        let kind = Kind::from_u8(body[4]).ok_or_else(|| unknown("kind", body[4].into()))?;
        let (logged, narrow, fast) = (body[5] & ARGS, body[5] & NARROW != 0, body[5] & FAST != 0);
        if fast && !kind.can_be_fast() {
            return Err(unknown("the flag of a fast call with kind", body[4].into()));
        }
        let mut rest = Cursor { body, at: 6 };
        let number = u16::from_le_bytes(rest.array()?);
        let check = u64::from_le_bytes(rest.array()?);
        let result = if narrow { i32::from_le_bytes(rest.array()?).into() } else { i64::from_le_bytes(rest.array()?) };
        let mut args = [0; 6];
        for (_, arg) in args.iter_mut().enumerate().filter(|(index, _)| logged >> index & 1 == 1) {
            *arg = if narrow { u32::from_le_bytes(rest.array()?).into() } else { u64::from_le_bytes(rest.array()?) };
        }
        rest.padding()?;
        let mut segments = Vec::new();
        while rest.at < len {
            let length = u32::from_le_bytes(rest.array()?) as usize;
            let flagged = u16::from_le_bytes(rest.array()?);
            let arg = u16::from_le_bytes(rest.array()?);
            let role = flagged & !HAS_ADDRESS;
            let role = SegmentRole::from_u16(role).ok_or_else(|| unknown("segment role", role.into()))?;
            let address = if flagged & HAS_ADDRESS == 0 {
                0
            } else {
                match u64::from_le_bytes(rest.array()?) {
                    0 => return Err(unknown("an address", 0)),
                    address => address,
                }
            };
            let bytes = rest.take(length)?.to_vec();
            rest.padding()?;
            segments.push(Segment { address, role, arg, bytes });
        }
        let record = Self { kind, number, result, check, fast, logged, args, segments };
        if record.is_narrow() != narrow {
            return Err(unknown("the flag of narrow numbers with others", body[5].into()));
        }
        Ok((record, len))
    }

    /// The bytes of the first segment of a role.
    #[must_use]
    pub fn bytes_of(&self, role: SegmentRole) -> Option<&[u8]> {
        self.segments.iter().find(|s| s.role == role).map(|s| s.bytes.as_slice())
    }

    /// The bytes of the segment of a role that belongs to an argument.
    #[must_use]
    pub fn bytes_at(&self, role: SegmentRole, arg: u16) -> Option<&[u8]> {
        self.segments.iter().find(|s| s.role == role && s.arg == arg).map(|s| s.bytes.as_slice())
    }

    /// Argument `index`, 0 where the record has none.
    #[must_use]
    pub fn arg(&self, index: usize) -> u64 {
        self.logged_arg(index).unwrap_or(0)
    }

    /// Argument `index`, if the record holds it.
    #[must_use]
    pub fn logged_arg(&self, index: usize) -> Option<u64> {
        self.args.get(index).copied().filter(|_| self.logged >> index & 1 == 1)
    }
}

impl Segment {
    /// Where its bytes stand in the memory of a process that makes the call with these arguments; `None` where the role has
    /// no place in memory, or the call no such argument.
    #[must_use]
    pub fn place(&self, args: &[u64; 6]) -> Option<u64> {
        match self.role {
            SegmentRole::In | SegmentRole::Out if self.address != 0 => Some(self.address),
            SegmentRole::In | SegmentRole::Out => args.get(usize::from(self.arg)).copied().filter(|&at| at != 0),
            _ => None,
        }
    }

    fn encoded_len(&self) -> usize {
        let address = if self.address == 0 { 0 } else { ADDRESS_LEN };
        SEGMENT_HEADER_LEN + address + pad(self.bytes.len())
    }
}

struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let end = self.at.saturating_add(len);
        let found = self.body.len();
        let bytes = self.body.get(self.at..end).ok_or(RecordError::Short { needed: end, found })?;
        self.at = end;
        Ok(bytes)
    }

    /// What is left until the next multiple of 8, which must be zeros.
    fn padding(&mut self) -> Result<(), RecordError> {
        let padding = self.take(pad(self.at) - self.at)?;
        match padding.iter().find(|&&byte| byte != 0) {
            Some(&byte) => Err(RecordError::Unknown { what: "padding", found: byte.into() }),
            None => Ok(()),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let bytes = self.take(N)?;
        let mut out = [0; N];
        out.copy_from_slice(bytes);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        record.encode_into(&mut out);
        assert_eq!(out.len(), record.encoded_len());
        out
    }

    fn sample() -> Record {
        let mut record = Record::new(Kind::Call, 0x1234, -2).with_logged(&[1, 2, 3, 4, 5, 6], 0b10_0101);
        (record.check, record.fast) = (0x0807_0605_0403_0201, true);
        record.segments.push(Segment { address: 0, role: SegmentRole::In, arg: 1, bytes: b"abc".to_vec() });
        record.segments.push(Segment { address: 0x7000, role: SegmentRole::Out, arg: 2, bytes: b"12345678".to_vec() });
        record
    }

    #[test]
    fn the_bytes_are_those_of_the_table() {
        let mut expected = Vec::new();
        expected.extend(72u32.to_le_bytes());
        expected.extend([1, 0b1110_0101, 0x34, 0x12]);
        expected.extend([1, 2, 3, 4, 5, 6, 7, 8]);
        expected.extend((-2i32).to_le_bytes());
        [1u32, 3, 6].iter().for_each(|arg| expected.extend(arg.to_le_bytes()));
        expected.extend([3, 0, 0, 0, 1, 0, 1, 0]);
        expected.extend(b"abc\0\0\0\0\0");
        expected.extend([8, 0, 0, 0, 2, 0x80, 2, 0]);
        expected.extend(0x7000u64.to_le_bytes());
        expected.extend(b"12345678");
        assert_eq!(encoded(&sample()), expected);
        assert_eq!(Record::decode(&expected), Ok((sample(), 72)));
    }

    #[test]
    fn numbers_that_need_64_bits_have_them() {
        let numbers = |result: i64, arg: u64| {
            let record = Record::new(Kind::Call, 1, result).with_args(&[arg, 7]);
            let bytes = encoded(&record);
            assert_eq!(Record::decode(&bytes), Ok((record, bytes.len())));
            (bytes.len(), bytes[5])
        };
        assert_eq!(numbers(-1 << 31, 0xffff_ffff), (32, 0x43));
        for (result, arg) in [(1 << 31, 0), ((-1 << 31) - 1, 0), (0, 1 << 32), (0, u64::MAX), (i64::MAX, u64::MAX)] {
            assert_eq!(numbers(result, arg), (40, 3));
        }
        let flag = "the flag of narrow numbers with others";
        let mut wide = encoded(&Record::new(Kind::Call, 1, 1 << 31));
        wide[19] = 0;
        assert_eq!(Record::decode(&wide), unknown(flag, 0));
        let mut padded = encoded(&Record::new(Kind::Call, 1, 0));
        padded[20] = 1;
        assert_eq!(Record::decode(&padded), unknown("padding", 1));
    }

    #[test]
    fn calls_and_instructions_can_be_fast() {
        for kind in [1, 3] {
            let (mut bytes, len) = (encoded(&sample()), encoded(&sample()).len());
            bytes[4] = kind;
            assert!(Record::decode(&bytes).is_ok_and(|(record, used)| record.fast && used == len));
        }
    }

    #[test]
    fn an_argument_that_is_not_there_is_none() {
        let record = sample();
        assert_eq!((record.args, record.arg(1)), ([1, 0, 3, 0, 0, 6], 0));
        assert_eq!([0, 1, 2, 6, 64].map(|index| record.logged_arg(index)), [Some(1), None, Some(3), None, None]);
        let leading = |count: usize| Record::new(Kind::Call, 0, 0).with_args(&vec![9; count]).logged;
        assert_eq!([0, 1, 5, 6, 7].map(leading), [0, 1, 0x1f, 0x3f, 0x3f]);
    }

    /// What the sample decodes to with one byte replaced.
    fn with(at: usize, value: u8) -> Result<(Record, usize), RecordError> {
        let mut bytes = encoded(&sample());
        bytes[at] = value;
        Record::decode(&bytes)
    }

    fn unknown(what: &'static str, found: u64) -> Result<(Record, usize), RecordError> {
        Err(RecordError::Unknown { what, found })
    }

    #[test]
    fn what_is_outside_of_the_format_is_refused() {
        assert_eq!(with(4, 2), unknown("the flag of a fast call with kind", 2));
        assert_eq!(with(4, 10), unknown("kind", 10));
        assert_eq!(with(36, 13), unknown("segment role", 13));
        assert_eq!(with(37, 0x40), unknown("segment role", 0x4001));
        assert_eq!(with(47, 1), unknown("padding", 1));
        assert_eq!(with(57, 0), unknown("an address", 0));
        // A segment or an argument that the length does not leave room for.
        assert!(matches!(with(48, 9), Err(RecordError::Short { .. })));
        let bare = Record::new(Kind::Call, 1, 0);
        let mut bytes = encoded(&bare);
        bytes[5] = 1;
        assert!(matches!(Record::decode(&bytes), Err(RecordError::Short { needed: 32, found: 24 })));
        bytes[5] = 0x47;
        assert!(matches!(Record::decode(&bytes), Err(RecordError::Short { needed: 28, found: 24 })));
    }

    #[test]
    fn a_place_is_the_address_or_where_the_argument_points() {
        let segment = |address, role, arg| Segment { address, role, arg, bytes: Vec::new() };
        let args = [0, 0x2000, 0, 0, 0, 0];
        assert_eq!(segment(0, SegmentRole::Out, 1).place(&args), Some(0x2000));
        assert_eq!(segment(0x3000, SegmentRole::In, 1).place(&args), Some(0x3000));
        assert_eq!(segment(0, SegmentRole::In, 0).place(&args), None);
        assert_eq!(segment(0, SegmentRole::In, 6).place(&args), None);
        assert_eq!(segment(0, SegmentRole::Sent, 1).place(&args), None);
    }
}

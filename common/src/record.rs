//! The record: one event that the server could not have computed by itself, or that must be compared.
//!
//! A record is a header of 24 bytes, its arguments, its segments; everything little endian, the whole padded to 8 bytes:
//!
//! ```text
//!  0 u32 length of the whole record in bytes, a multiple of 8
//!  4 u8  kind                5 u8 number of arguments (0 to 6)
//!  6 u16 number: the system call, the signal, ... (see [`Kind`])
//!  8 i64 result              16 u64 check: xxh3 of everything that replay recomputes and that is not in the record
//! 24 u64 argument, as many as said
//!    segments until the end: u64 address, u32 length, u16 role, u16 argument index, then the bytes, padded to 8
//! ```
//!
//! The same bytes stand in the recorder's buffer, on the wire, on disk and in the backup. The LSN of a record is the number
//! of bytes of all records before it.

use thiserror::Error;

/// Bytes before the arguments.
pub const HEADER_LEN: usize = 24;
/// Upper bound of one record in bytes: a mapping of a large file is the largest.
pub const MAX_RECORD: usize = 1 << 30;
const SEGMENT_HEADER_LEN: usize = 16;

/// What a record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A system call: number, result (negative errno included, also the kernel's restart codes -512 to -516), arguments.
    Call = 1,
    /// A signal delivered: number = signal; result = [`Placement`]; arguments = mask saved in the frame, mask in force when the
    /// handler is chosen; one segment with siginfo.
    Signal = 2,
    /// A trapped instruction: number = [`Instruction`]; arguments = rip, then the registers it leaves (rax, rbx, rcx, rdx).
    Instruction = 3,
    /// The replica that writes the log acts in a new epoch: argument 0.
    Epoch = 4,
    /// Code that was patched right after the call before it: arguments = none; one [`SegmentRole::Out`] segment for each site.
    Patch = 5,
    /// The server has ended: result = wait status as of waitpid(2). Nothing follows.
    End = 6,
}

/// Where a signal is delivered, relative to the calls around its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i64)]
pub enum Placement {
    /// At the return of the call recorded before, which it interrupted.
    Exit = 0,
    /// The instruction that the server runs into faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP): it needs no placing.
    Fault = 1,
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
    /// siginfo_t of a signal (128 bytes). `address` is 0.
    SigInfo = 8,
}

/// One run of bytes that belongs to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where in the server's memory; 0 where that has no meaning.
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
    /// xxh3 of what replay recomputes and the record does not hold.
    pub check: u64,
    /// Arguments, at most six.
    pub args: Vec<u64>,
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
        "a record claims a length of {found} bytes, expected a multiple of 8 between {HEADER_LEN} and {MAX_RECORD}"
    )]
    Length {
        /// The claim.
        found: usize,
    },
    /// Kind, argument count, segment role or padding are outside of the format.
    #[error("a record has {what} {found}, which this version does not know")]
    Unknown {
        /// Which field.
        what: &'static str,
        /// Its value.
        found: u64,
    },
}

impl Kind {
    fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Call,
            2 => Self::Signal,
            3 => Self::Instruction,
            4 => Self::Epoch,
            5 => Self::Patch,
            6 => Self::End,
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
            _ => None,
        }
    }
}

fn pad(len: usize) -> usize {
    len.next_multiple_of(8)
}

impl Record {
    /// A record without arguments and segments.
    #[must_use]
    pub fn new(kind: Kind, number: u16, result: i64) -> Self {
        Self { kind, number, result, check: 0, args: Vec::new(), segments: Vec::new() }
    }

    /// Bytes that it takes in the log.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let segments: usize = self.segments.iter().map(|s| SEGMENT_HEADER_LEN + pad(s.bytes.len())).sum();
        HEADER_LEN + 8 * self.args.len() + segments
    }

    /// Appends its bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let len = self.encoded_len();
        debug_assert!(len <= MAX_RECORD && self.args.len() <= 6, "a record within its bounds");
        let start = out.len();
        out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
        out.push(self.kind as u8);
        out.push(u8::try_from(self.args.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.result.to_le_bytes());
        out.extend_from_slice(&self.check.to_le_bytes());
        for arg in &self.args {
            out.extend_from_slice(&arg.to_le_bytes());
        }
        for segment in &self.segments {
            out.extend_from_slice(&segment.address.to_le_bytes());
            out.extend_from_slice(&u32::try_from(segment.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&(segment.role as u16).to_le_bytes());
            out.extend_from_slice(&segment.arg.to_le_bytes());
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
        if !(HEADER_LEN..=MAX_RECORD).contains(&found) || !found.is_multiple_of(8) {
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
        let len = Self::peek_len(bytes)?.ok_or_else(|| short(HEADER_LEN))?;
        let body = bytes.get(..len).ok_or_else(|| short(len))?;
        let unknown = |what, found| RecordError::Unknown { what, found };
        let kind = Kind::from_u8(body[4]).ok_or_else(|| unknown("kind", body[4].into()))?;
        let nargs = usize::from(body[5]);
        if nargs > 6 {
            return Err(unknown("argument count", nargs as u64));
        }
        let mut rest = Cursor { body, at: 6 };
        let number = u16::from_le_bytes(rest.array()?);
        let result = i64::from_le_bytes(rest.array()?);
        let check = u64::from_le_bytes(rest.array()?);
        let mut args = Vec::with_capacity(nargs);
        for _ in 0..nargs {
            args.push(u64::from_le_bytes(rest.array()?));
        }
        let mut segments = Vec::new();
        while rest.at < len {
            let address = u64::from_le_bytes(rest.array()?);
            let length = u32::from_le_bytes(rest.array()?) as usize;
            let role = u16::from_le_bytes(rest.array()?);
            let arg = u16::from_le_bytes(rest.array()?);
            let role = SegmentRole::from_u16(role).ok_or_else(|| unknown("segment role", role.into()))?;
            let bytes = rest.take(length)?.to_vec();
            let padding = rest.take(pad(length) - length)?;
            if padding.iter().any(|&b| b != 0) {
                return Err(unknown("padding", 1));
            }
            segments.push(Segment { address, role, arg, bytes });
        }
        Ok((Self { kind, number, result, check, args, segments }, len))
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
        self.args.get(index).copied().unwrap_or(0)
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

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let bytes = self.take(N)?;
        let mut out = [0; N];
        out.copy_from_slice(bytes);
        Ok(out)
    }
}

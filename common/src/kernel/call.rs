//! A record of a system call as the model reads it: typed arguments, segments by argument, errors that name the call.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use super::path::{MAX_PATH, PathBytes};
use crate::abi;
pub(super) use crate::abi::{i32_at, i64_at, u32_at, u64_at};
use crate::record::{Record, SegmentRole};

/// Why a record does not fit the model. The replica that meets it must stop: from here on its model would be wrong.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ModelError {
    /// The record contradicts what the model holds.
    #[error(
        "{call}: expected {expected}, found {found}: log and kernel-state model have come apart, stop this replica"
    )]
    Inconsistent {
        /// The call (or other event) of the record.
        call: CallName,
        /// What the model says.
        expected: String,
        /// What the record says.
        found: String,
    },
    /// The call makes something that the model cannot carry: the recorder should have refused it.
    #[error("{call} makes {what}, which the kernel-state model cannot carry: refuse this call when recording")]
    Unsupported {
        /// The call.
        call: CallName,
        /// What it makes.
        what: String,
    },
    /// The record lacks data that the model learns from.
    #[error("{call}: the record lacks {what}: the recorder is of another version or the log is damaged")]
    Incomplete {
        /// The call.
        call: CallName,
        /// What is missing.
        what: String,
    },
    /// A record follows the end of the server.
    #[error("{call} follows the end of the server: the log is damaged")]
    AfterEnd {
        /// The call (or other event) of the record.
        call: CallName,
    },
}

/// What a record is about, for messages: the call's name where the model knows it, its number otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallName {
    /// A system call by its x86-64 number.
    Call(u16),
    /// A signal delivered.
    Signal(u16),
    /// Any other record.
    Other,
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Call(number) => match super::names::name(i64::from(number)) {
                Some(name) => f.write_str(name),
                None => write!(f, "system call {number}"),
            },
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Other => f.write_str("a record that is no call"),
        }
    }
}

/// One call, read from its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    record: &'a Record,
}

impl<'a> Call<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
        Self { record }
    }

    pub(super) fn name(&self) -> CallName {
        CallName::Call(self.record.number)
    }

    pub(super) fn number(&self) -> i64 {
        i64::from(self.record.number)
    }

    pub(super) fn result(&self) -> i64 {
        self.record.result
    }

    /// The result of a call that gives an `int`: a process, a signal, a watch.
    pub(super) fn int_result(&self) -> i32 {
        abi::int_result(self.record.result)
    }

    /// Whether the kernel returned an error or a restart code.
    pub(super) fn failed(&self) -> bool {
        (-4095..0).contains(&self.record.result)
    }

    pub(super) fn failed_with(&self, errno: i32) -> bool {
        self.record.result == -i64::from(errno)
    }

    /// The result as a count of bytes or of messages.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.record.result).unwrap_or(0)
    }

    pub(super) fn arg(&self, index: usize) -> u64 {
        self.record.arg(index)
    }

    /// An argument that the kernel takes as `int`: the upper half is ignored.
    pub(super) fn int(&self, index: usize) -> i32 {
        abi::int(self.record.arg(index))
    }

    /// An argument that the kernel takes as `unsigned int`: the upper half is ignored.
    pub(super) fn uint(&self, index: usize) -> u32 {
        abi::uint(self.record.arg(index))
    }

    /// The descriptor that the call made.
    pub(super) fn made(&self) -> Result<i32, ModelError> {
        i32::try_from(self.record.result)
            .ok()
            .filter(|&fd| fd >= 0)
            .ok_or_else(|| self.inconsistent("a descriptor as result", self.record.result))
    }

    /// Memory that the call read through an argument.
    pub(super) fn input(&self, index: u16) -> Result<&'a [u8], ModelError> {
        self.record
            .bytes_at(SegmentRole::In, index)
            .ok_or_else(|| self.incomplete(format_args!("the memory that argument {index} points to")))
    }

    /// Whether the call read this many bytes through an argument.
    pub(super) fn has_input(&self, index: u16, len: usize) -> bool {
        self.record.bytes_at(SegmentRole::In, index).is_some_and(|bytes| bytes.len() >= len)
    }

    /// The first `N` bytes of what the call read through an argument.
    pub(super) fn input_array<const N: usize>(&self, index: u16) -> Result<[u8; N], ModelError> {
        let bytes = self.input(index)?;
        bytes.first_chunk::<N>().copied().ok_or_else(|| {
            self.inconsistent(format_args!("{N} bytes at argument {index}"), format_args!("{} bytes", bytes.len()))
        })
    }

    /// Memory that the call wrote through an argument, all pieces together.
    pub(super) fn output(&self, index: u16) -> Cow<'a, [u8]> {
        self.gather(|role, arg| role == SegmentRole::Out && arg == index)
    }

    /// The first `N` bytes of what the call wrote through an argument.
    pub(super) fn output_array<const N: usize>(&self, index: u16) -> Result<[u8; N], ModelError> {
        let bytes = self.output(index);
        bytes
            .first_chunk::<N>()
            .copied()
            .ok_or_else(|| self.incomplete(format_args!("the {N} bytes written through argument {index}")))
    }

    /// Memory written at the very address that an argument holds, as opposed to what that memory points to.
    pub(super) fn output_at_pointer(&self, index: usize) -> Result<&'a [u8], ModelError> {
        self.written_at(self.arg(index))
            .ok_or_else(|| self.incomplete(format_args!("the memory written at the address in argument {index}")))
    }

    /// Memory written at an address.
    pub(super) fn written_at(&self, address: u64) -> Option<&'a [u8]> {
        let mut there = self.record.segments.iter().filter(|s| s.role == SegmentRole::Out);
        there.find(|s| s.place(&self.record.args) == Some(address)).map(|s| s.bytes.as_slice())
    }

    /// Memory read or written that covers an address, from there on.
    pub(super) fn known_at(&self, address: u64) -> Option<&'a [u8]> {
        self.record
            .segments
            .iter()
            .find_map(|s| s.bytes.get(usize::try_from(address.checked_sub(s.place(&self.record.args)?)?).ok()?..))
    }

    /// The bytes that went into a pipe, socket pair or eventfd, all pieces together; as many as the call says it wrote.
    pub(super) fn sent(&self, expected: u64) -> Result<Cow<'a, [u8]>, ModelError> {
        let bytes = self.gather(|role, _| role == SegmentRole::Sent);
        if bytes.is_empty() && expected > 0 {
            return Err(self.incomplete("the bytes that it put into a pipe, socket pair or eventfd"));
        }
        if bytes.len() as u64 != expected {
            return Err(self.inconsistent(
                format_args!("{expected} bytes written, as the call returned"),
                format_args!("{} in the record", bytes.len()),
            ));
        }
        Ok(bytes)
    }

    fn gather(&self, wanted: impl Fn(SegmentRole, u16) -> bool) -> Cow<'a, [u8]> {
        let mut pieces = self.record.segments.iter().filter(|s| wanted(s.role, s.arg)).map(|s| s.bytes.as_slice());
        let Some(first) = pieces.next() else {
            return Cow::Borrowed(&[]);
        };
        match pieces.next() {
            None => Cow::Borrowed(first),
            Some(second) => {
                let mut all = [first, second].concat();
                pieces.for_each(|piece| all.extend_from_slice(piece));
                Cow::Owned(all)
            }
        }
    }

    /// Data of a role that needs no argument.
    pub(super) fn role(&self, role: SegmentRole) -> Option<&'a [u8]> {
        self.record.bytes_of(role)
    }

    /// The primary's CLOCK_MONOTONIC when the call ran, in nanoseconds.
    pub(super) fn clock(&self) -> Result<u64, ModelError> {
        self.role(SegmentRole::Clock)
            .and_then(|bytes| bytes.first_chunk::<8>())
            .map(|bytes| u64::from_le_bytes(*bytes))
            .ok_or_else(|| self.incomplete("the clock at which it ran"))
    }

    /// Whether the record says that a signal waits.
    pub(super) fn tells_of_a_signal(&self) -> bool {
        self.role(SegmentRole::SigInfo).is_some()
    }

    /// The absolute path that the recorder resolved.
    pub(super) fn resolved_path(&self) -> Result<Option<PathBytes>, ModelError> {
        self.role(SegmentRole::Path).map(|bytes| self.bounded(PathBytes(bytes.to_vec()))).transpose()
    }

    /// A path that the model is to keep.
    pub(super) fn bounded(&self, path: PathBytes) -> Result<PathBytes, ModelError> {
        match path.0.len() {
            ..=MAX_PATH => Ok(path),
            length => {
                let expected = format_args!("a path of at most {MAX_PATH} bytes");
                Err(self.inconsistent(expected, format_args!("one of {length}")))
            }
        }
    }

    pub(super) fn inconsistent(&self, expected: impl fmt::Display, found: impl fmt::Display) -> ModelError {
        ModelError::Inconsistent { call: self.name(), expected: expected.to_string(), found: found.to_string() }
    }

    pub(super) fn unsupported(&self, what: impl fmt::Display) -> ModelError {
        ModelError::Unsupported { call: self.name(), what: what.to_string() }
    }

    pub(super) fn incomplete(&self, what: impl fmt::Display) -> ModelError {
        ModelError::Incomplete { call: self.name(), what: what.to_string() }
    }
}

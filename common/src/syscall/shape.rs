//! The vocabulary of the table: classes, directions, lengths.

use std::fmt;

use super::names;

/// How a call is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The primary executes it; a backup copies result and memory from the record.
    Emulate,
    /// Both execute it: memory, signal dispositions, the end of the process.
    Execute,
    /// ftrun answers on the primary as well: from the kernel-state model, or with a fixed errno (the value, positive).
    Answer(i32),
}

/// Which way memory goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Read by the call, small, and logged: the model learns from it.
    In,
    /// Read by the call and only digested.
    Digest,
    /// The server's output, read by the call up to its result; digested, and logged only where the model carries it.
    Bulk,
    /// Written by the call when it succeeds.
    Out,
    /// Written by the call also when it fails (remaining times).
    OutAlways,
    /// Read (digested) and written in place, also when it fails.
    InOut,
}

/// How many bytes a pointer covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Length {
    /// This many.
    Fixed(u32),
    /// The result times this, at most the argument given where there is one.
    Result(u32),
    /// Another argument times this.
    Arg(u8, u32),
    /// One byte for each page of as many bytes as another argument says.
    Pages(u8),
    /// Until the NUL.
    CString,
    /// The u32 that another argument points to; the kernel writes the real length there.
    ValueResult(u8),
    /// An array of struct iovec with as many entries as the given argument says; the result bounds the bytes.
    Iovec(u8),
    /// A struct msghdr and all that it points to.
    Msghdr,
    /// An array of struct mmsghdr; the result says how many were used.
    Mmsghdr,
    /// A set of descriptors for select(2); argument 0 says how many bits.
    FdSet,
    /// pselect6's pair of sigset pointer and size.
    SigsetPair,
}

/// An argument that points to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pointer {
    /// Which argument.
    pub arg: u8,
    /// Which way.
    pub direction: Direction,
    /// How long.
    pub length: Length,
}

/// One call, or one operation of a multiplexed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number on x86-64.
    pub number: u16,
    /// Name, with the operation where there is one: `fcntl(F_SETFL)`.
    pub name: &'static str,
    /// Number of arguments that count.
    pub nargs: u8,
    /// Treatment.
    pub class: Class,
    /// Memory.
    pub pointers: &'static [Pointer],
    /// Arguments that are digested and not logged (bit i: argument i): replay recomputes them, and nothing that reads records
    /// asks for them.
    pub recomputed: u8,
}

impl Shape {
    /// Arguments that are logged: bit i for argument i.
    #[must_use]
    pub const fn logged(&self) -> u8 {
        (0x3f >> (6 - self.nargs)) & !self.recomputed
    }
}

/// A call, operation or flag whose effect ftrun does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is, by name.
    pub what: String,
    /// The errno that the server gets (positive).
    pub errno: i32,
}

impl Refusal {
    pub(super) fn unknown_call(number: u64) -> Self {
        let what = names::of(number)
            .map_or_else(|| format!("system call {number}"), |name| format!("{name} (system call {number})"));
        Self { what, errno: libc::ENOSYS }
    }

    /// A refusal of an operation or flag.
    #[must_use]
    pub fn new(what: String, errno: i32) -> Self {
        Self { what, errno }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}: not replicated; the server gets errno {}", self.what, self.errno)
    }
}

pub(super) const fn ptr(arg: u8, direction: Direction, length: Length) -> Pointer {
    Pointer { arg, direction, length }
}

pub(super) const fn shape(
    number: u16,
    name: &'static str,
    nargs: u8,
    class: Class,
    pointers: &'static [Pointer],
) -> Shape {
    Shape { number, name, nargs, class, pointers, recomputed: 0 }
}

/// The same shape, with these arguments not logged.
pub(super) const fn recomputing(shape: Shape, args: &[u8]) -> Shape {
    let (mut recomputed, mut at) = (0, 0);
    while at < args.len() {
        recomputed |= 1 << args[at];
        at += 1;
    }
    Shape { recomputed, ..shape }
}

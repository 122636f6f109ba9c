//! Calls that the interceptor makes. The build script makes its tables of this list and the shapes of common::syscall.

use common::syscall::nr;

use super::layout::{MAY_ACCEPT, MAY_CLOSE, MAY_READ, MAY_USE, MAY_WRITE};

/// What of its arguments, besides `zero` and `flags`, decides whether a call can be made in process; gather.h has the conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// How much its pointers cover, as far as its shape does not bound that.
    Pointers,
    /// The address has a length.
    Address,
    /// The clock is one of those that the interceptor reads.
    Clock,
    /// The operation is about the descriptor's flags.
    Fcntl,
    /// The operation wakes.
    Futex,
    /// The request is FIONBIO.
    Ioctl,
    /// The message is data alone.
    Message,
    /// The option is one of which the model knows all from the arguments.
    Option,
    /// The path means the same file in another process.
    Path,
    /// The set of signals has the kernel's size.
    Signals,
}

impl Look {
    /// All of them.
    pub const ALL: [Look; 10] = [
        Self::Pointers,
        Self::Address,
        Self::Clock,
        Self::Fcntl,
        Self::Futex,
        Self::Ioctl,
        Self::Message,
        Self::Option,
        Self::Path,
        Self::Signals,
    ];
}

/// A call that can be made in process.
#[derive(Debug, Clone, Copy)]
pub struct FastCall {
    /// Its number.
    pub number: u16,
    /// What must be allowed for the descriptor in argument 0; 0 when that is none.
    pub right: u8,
    /// Whether a client may be waiting for what it does: its record is shipped before the server waits for anything.
    pub urgent: bool,
    /// The argument that bounds what the result counts; 6 for none.
    pub bound: u8,
    /// Arguments that must be 0, as a bit mask: with others the call is made outside.
    pub zero: u8,
    /// The argument that holds flags, and those with which the call can be made in process.
    pub flags: Option<(u8, i32)>,
    /// Whether it can make the server wait, whatever its descriptor.
    pub waits: bool,
    /// Whether it opens a file by name.
    pub opens: bool,
    /// What else must be looked at.
    pub look: Look,
    /// Arguments with which [`common::syscall::resolve`] finds its shape.
    pub example: [u64; 6],
}

const fn call(number: u16, right: u8) -> FastCall {
    FastCall {
        number,
        right,
        urgent: false,
        bound: 6,
        zero: 0,
        flags: None,
        waits: false,
        opens: false,
        look: Look::Pointers,
        example: [0; 6],
    }
}

const fn waiting(other: FastCall) -> FastCall {
    FastCall { waits: true, ..other }
}

const fn input(number: u16, bound: u8) -> FastCall {
    FastCall { bound, ..call(number, MAY_READ) }
}

const fn output(number: u16) -> FastCall {
    FastCall { urgent: true, ..call(number, MAY_WRITE) }
}

const fn without(zero: u8, other: FastCall) -> FastCall {
    FastCall { zero, ..other }
}

const fn with_flags(arg: u8, flags: i32, other: FastCall) -> FastCall {
    FastCall { flags: Some((arg, flags)), ..other }
}

const fn looked_at(look: Look, other: FastCall) -> FastCall {
    FastCall { look, ..other }
}

/// For reading alone.
const fn opening(number: u16, flags_arg: u8) -> FastCall {
    with_flags(flags_arg, OPENING, looked_at(Look::Path, FastCall { opens: true, ..call(number, 0) }))
}

/// One operation of several; the others are made outside.
const fn operation(look: Look, operation: u64, other: FastCall) -> FastCall {
    looked_at(look, FastCall { example: [0, operation, 0, 0, 0, 0], ..other })
}

const SENDING: i32 = libc::MSG_DONTWAIT | libc::MSG_MORE | libc::MSG_NOSIGNAL;
const RECEIVING: i32 = libc::MSG_DONTWAIT | libc::MSG_PEEK | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
/// The kernel's own O_LARGEFILE is what a program of 32 bits would pass; some do.
const OPENING: i32 = libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW | 0o100_000;

/// All of them.
pub const ALL: &[FastCall] = &[
    input(nr::READ, 2),
    input(nr::READV, 6),
    input(nr::PREAD64, 2),
    with_flags(3, RECEIVING, without(1 << 4 | 1 << 5, input(nr::RECVFROM, 2))),
    output(nr::WRITE),
    output(nr::WRITEV),
    output(nr::PWRITE64),
    with_flags(3, SENDING, without(1 << 4, output(nr::SENDTO))),
    FastCall { urgent: true, ..call(nr::CLOSE, MAY_CLOSE) },
    looked_at(Look::Address, call(nr::ACCEPT, MAY_ACCEPT)),
    looked_at(Look::Address, call(nr::ACCEPT4, MAY_ACCEPT)),
    with_flags(2, RECEIVING | libc::MSG_CMSG_CLOEXEC, looked_at(Look::Message, call(nr::RECVMSG, MAY_READ))),
    with_flags(2, SENDING, looked_at(Look::Message, output(nr::SENDMSG))),
    output(nr::SENDFILE),
    FastCall { urgent: true, ..call(nr::SHUTDOWN, MAY_CLOSE) },
    FastCall {
        example: [0, libc::SOL_SOCKET as u64, libc::SO_KEEPALIVE as u64, 0, 0, 0],
        ..looked_at(Look::Option, call(nr::SETSOCKOPT, MAY_USE))
    },
    operation(Look::Ioctl, libc::FIONBIO, call(nr::IOCTL, MAY_USE)),
    opening(nr::OPEN, 1),
    opening(nr::OPENAT, 2),
    call(nr::STAT, 0),
    call(nr::LSTAT, 0),
    call(nr::ACCESS, 0),
    call(nr::LSEEK, MAY_USE),
    call(nr::FSTAT, MAY_USE),
    waiting(call(nr::FSYNC, MAY_USE)),
    waiting(call(nr::FDATASYNC, MAY_USE)),
    operation(Look::Fcntl, libc::F_GETFL as u64, call(nr::FCNTL, MAY_USE)),
    waiting(FastCall { bound: 2, ..call(nr::EPOLL_WAIT, MAY_USE) }),
    waiting(FastCall { bound: 2, zero: 1 << 4, ..call(nr::EPOLL_PWAIT, MAY_USE) }),
    call(nr::EPOLL_CTL, MAY_USE),
    looked_at(Look::Signals, call(nr::RT_SIGPROCMASK, 0)),
    waiting(call(nr::POLL, 0)),
    waiting(without(1 << 3, call(nr::PPOLL, 0))),
    waiting(call(nr::SELECT, 0)),
    waiting(without(1 << 5, call(nr::PSELECT6, 0))),
    looked_at(Look::Clock, call(nr::CLOCK_GETTIME, 0)),
    call(nr::GETTIMEOFDAY, 0),
    call(nr::TIME, 0),
    waiting(call(nr::NANOSLEEP, 0)),
    waiting(call(nr::CLOCK_NANOSLEEP, 0)),
    call(nr::NEWFSTATAT, 0),
    waiting(call(nr::SCHED_YIELD, 0)),
    FastCall { bound: 1, ..call(nr::GETRANDOM, 0) },
    operation(Look::Futex, libc::FUTEX_WAKE as u64, call(nr::FUTEX, 0)),
    call(nr::GETPID, 0),
    call(nr::GETTID, 0),
    call(nr::GETPPID, 0),
    call(nr::GETUID, 0),
    call(nr::GETEUID, 0),
    call(nr::GETGID, 0),
    call(nr::GETEGID, 0),
];

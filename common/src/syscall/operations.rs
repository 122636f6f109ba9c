//! Multiplexed calls: one shape for each operation that is known.

use super::nr;
use super::rules;
use super::shape::Class::{Answer, Emulate, Execute};
use super::shape::Direction::{Digest, In, InOut, Out};
use super::shape::Length::{Arg, CString, Fixed, ValueResult};
use super::shape::{Pointer, Refusal, Shape, ptr, shape};

/// The operations of a multiplexed call: which argument selects, and each known value with its shape.
#[derive(Debug)]
pub struct Operations {
    selector: u8,
    mask: u64,
    name: &'static str,
    errno: i32,
    known: &'static [(u64, Shape)],
}

impl Operations {
    /// The shapes of all known operations.
    pub fn shapes(&self) -> impl Iterator<Item = &'static Shape> {
        self.known.iter().map(|(_, shape)| shape)
    }

    /// The call's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether an argument selects; otherwise there is one shape for all.
    #[must_use]
    pub fn selects(&self) -> bool {
        self.mask != 0
    }

    /// The errno that an unknown operation gets (positive).
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno
    }
}

/// The operations of call `number`, if it is a multiplexed one.
#[must_use]
pub fn of(number: u64) -> Option<&'static Operations> {
    let number = u16::try_from(number).ok()?;
    ALL.iter().find(|(n, _)| *n == number).map(|(_, operations)| operations)
}

/// All multiplexed calls.
pub fn all() -> impl Iterator<Item = &'static Operations> {
    ALL.iter().map(|(_, operations)| operations)
}

/// Finds the shape of one operation.
///
/// # Errors
/// A refusal that names the operation.
pub fn resolve(_number: u64, args: &[u64; 6], operations: &'static Operations) -> Result<&'static Shape, Refusal> {
    let selected = args[usize::from(operations.selector)] & 0xffff_ffff & operations.mask;
    let found = operations.known.iter().find(|(value, _)| *value == selected).map(|(_, shape)| shape);
    let shape = found
        .ok_or_else(|| Refusal::new(format!("{} with operation {selected:#x}", operations.name), operations.errno))?;
    rules::check(shape, args)?;
    Ok(shape)
}

/// F_GETOWN of the C library: struct f_owner_ex, type (4) and id (4).
pub const F_GETOWN_EX: u64 = 16;

const VALUE4: &[Pointer] = &[ptr(2, In, Fixed(4))];
const FLOCK: &[Pointer] = &[ptr(2, In, Fixed(32))];

const fn fcntl(name: &'static str, pointers: &'static [Pointer]) -> Shape {
    shape(nr::FCNTL, name, 3, Emulate, pointers)
}

const fn ioctl(name: &'static str, pointers: &'static [Pointer]) -> Shape {
    shape(nr::IOCTL, name, 3, Emulate, pointers)
}

const fn prctl(name: &'static str, pointers: &'static [Pointer]) -> Shape {
    shape(nr::PRCTL, name, 5, Emulate, pointers)
}

const fn madvise(name: &'static str, class: super::Class) -> Shape {
    shape(nr::MADVISE, name, 3, class, &[])
}

const fn futex(name: &'static str) -> Shape {
    shape(nr::FUTEX, name, 4, Emulate, &[])
}

#[rustfmt::skip]
static ALL: &[(u16, Operations)] = &[
    (nr::FCNTL, Operations { selector: 1, mask: u64::MAX, name: "fcntl", errno: libc::EINVAL, known: &[
        (libc::F_DUPFD as u64, fcntl("fcntl(F_DUPFD)", &[])),
        (libc::F_DUPFD_CLOEXEC as u64, fcntl("fcntl(F_DUPFD_CLOEXEC)", &[])),
        (libc::F_GETFD as u64, fcntl("fcntl(F_GETFD)", &[])),
        (libc::F_SETFD as u64, fcntl("fcntl(F_SETFD)", &[])),
        (libc::F_GETFL as u64, fcntl("fcntl(F_GETFL)", &[])),
        (libc::F_SETFL as u64, fcntl("fcntl(F_SETFL)", &[])),
        (libc::F_GETLK as u64, fcntl("fcntl(F_GETLK)", &[ptr(2, InOut, Fixed(32))])),
        (libc::F_SETLK as u64, fcntl("fcntl(F_SETLK)", FLOCK)),
        (libc::F_SETLKW as u64, fcntl("fcntl(F_SETLKW)", FLOCK)),
        (libc::F_SETOWN as u64, fcntl("fcntl(F_SETOWN)", &[])),
        (libc::F_GETOWN as u64, fcntl("fcntl(F_GETOWN)", &[])),
        (F_GETOWN_EX, fcntl("fcntl(F_GETOWN_EX)", &[ptr(2, Out, Fixed(8))])),
        (1031, fcntl("fcntl(F_SETPIPE_SZ)", &[])),
        (1032, fcntl("fcntl(F_GETPIPE_SZ)", &[])),
    ] }),
    (nr::IOCTL, Operations { selector: 1, mask: u64::MAX, name: "ioctl", errno: libc::ENOTTY, known: &[
        (libc::TCGETS, ioctl("ioctl(TCGETS)", &[ptr(2, Out, Fixed(36))])),
        (libc::TIOCGWINSZ, ioctl("ioctl(TIOCGWINSZ)", &[ptr(2, Out, Fixed(8))])),
        (libc::TIOCGPGRP, ioctl("ioctl(TIOCGPGRP)", &[ptr(2, Out, Fixed(4))])),
        (libc::FIONBIO, ioctl("ioctl(FIONBIO)", VALUE4)),
        (libc::FIONREAD, ioctl("ioctl(FIONREAD)", &[ptr(2, Out, Fixed(4))])),
        (libc::FIOASYNC, ioctl("ioctl(FIOASYNC)", VALUE4)),
        (libc::FIOCLEX, ioctl("ioctl(FIOCLEX)", &[])),
        (libc::FIONCLEX, ioctl("ioctl(FIONCLEX)", &[])),
    ] }),
    (nr::PRCTL, Operations { selector: 0, mask: u64::MAX, name: "prctl", errno: libc::EINVAL, known: &[
        (libc::PR_SET_NAME as u64, prctl("prctl(PR_SET_NAME)", &[ptr(1, In, CString)])),
        (libc::PR_GET_NAME as u64, prctl("prctl(PR_GET_NAME)", &[ptr(1, Out, Fixed(16))])),
        (libc::PR_SET_DUMPABLE as u64, shape(nr::PRCTL, "prctl(PR_SET_DUMPABLE)", 5, Answer(0), &[])),
        (libc::PR_GET_DUMPABLE as u64, prctl("prctl(PR_GET_DUMPABLE)", &[])),
        (libc::PR_SET_PDEATHSIG as u64, prctl("prctl(PR_SET_PDEATHSIG)", &[])),
        (libc::PR_GET_PDEATHSIG as u64, prctl("prctl(PR_GET_PDEATHSIG)", &[ptr(1, Out, Fixed(4))])),
        (libc::PR_SET_KEEPCAPS as u64, prctl("prctl(PR_SET_KEEPCAPS)", &[])),
        (libc::PR_GET_KEEPCAPS as u64, prctl("prctl(PR_GET_KEEPCAPS)", &[])),
        (libc::PR_CAPBSET_READ as u64, prctl("prctl(PR_CAPBSET_READ)", &[])),
        (libc::PR_GET_SECUREBITS as u64, prctl("prctl(PR_GET_SECUREBITS)", &[])),
        (libc::PR_GET_NO_NEW_PRIVS as u64, prctl("prctl(PR_GET_NO_NEW_PRIVS)", &[])),
        (libc::PR_SET_NO_NEW_PRIVS as u64, prctl("prctl(PR_SET_NO_NEW_PRIVS)", &[])),
        (libc::PR_SET_TIMERSLACK as u64, prctl("prctl(PR_SET_TIMERSLACK)", &[])),
        (libc::PR_GET_TIMERSLACK as u64, prctl("prctl(PR_GET_TIMERSLACK)", &[])),
        (0x5356_4d41, prctl("prctl(PR_SET_VMA)", &[])),
    ] }),
    (nr::ARCH_PRCTL, Operations { selector: 0, mask: u64::MAX, name: "arch_prctl", errno: libc::EINVAL, known: &[
        (0x1001, shape(nr::ARCH_PRCTL, "arch_prctl(ARCH_SET_GS)", 2, Execute, &[])),
        (0x1002, shape(nr::ARCH_PRCTL, "arch_prctl(ARCH_SET_FS)", 2, Execute, &[])),
        (0x1003, shape(nr::ARCH_PRCTL, "arch_prctl(ARCH_GET_FS)", 2, Emulate, &[ptr(1, Out, Fixed(8))])),
        (0x1004, shape(nr::ARCH_PRCTL, "arch_prctl(ARCH_GET_GS)", 2, Emulate, &[ptr(1, Out, Fixed(8))])),
        (0x3001, shape(nr::ARCH_PRCTL, "arch_prctl(ARCH_CET_STATUS)", 2, Answer(libc::EINVAL), &[])),
    ] }),
    (nr::MADVISE, Operations { selector: 2, mask: u64::MAX, name: "madvise", errno: libc::EINVAL, known: &[
        (libc::MADV_NORMAL as u64, madvise("madvise(MADV_NORMAL)", Emulate)),
        (libc::MADV_RANDOM as u64, madvise("madvise(MADV_RANDOM)", Emulate)),
        (libc::MADV_SEQUENTIAL as u64, madvise("madvise(MADV_SEQUENTIAL)", Emulate)),
        (libc::MADV_WILLNEED as u64, madvise("madvise(MADV_WILLNEED)", Emulate)),
        (libc::MADV_DONTNEED as u64, madvise("madvise(MADV_DONTNEED)", Execute)),
        (libc::MADV_DONTFORK as u64, madvise("madvise(MADV_DONTFORK)", Emulate)),
        (libc::MADV_DOFORK as u64, madvise("madvise(MADV_DOFORK)", Emulate)),
        (libc::MADV_HUGEPAGE as u64, madvise("madvise(MADV_HUGEPAGE)", Emulate)),
        (libc::MADV_NOHUGEPAGE as u64, madvise("madvise(MADV_NOHUGEPAGE)", Emulate)),
        (libc::MADV_DONTDUMP as u64, madvise("madvise(MADV_DONTDUMP)", Emulate)),
        (libc::MADV_DODUMP as u64, madvise("madvise(MADV_DODUMP)", Emulate)),
    ] }),
    // FUTEX_PRIVATE_FLAG (128) does not change what a single-threaded program sees; bit 256 is the clock.
    (nr::FUTEX, Operations { selector: 1, mask: !(128 | 256), name: "futex", errno: libc::ENOSYS, known: &[
        (libc::FUTEX_WAIT as u64, shape(nr::FUTEX, "futex(FUTEX_WAIT)", 4, Emulate, &[ptr(0, Digest, Fixed(4)), ptr(3, Digest, Fixed(16))])),
        (libc::FUTEX_WAKE as u64, futex("futex(FUTEX_WAKE)")),
        (libc::FUTEX_WAIT_BITSET as u64, shape(nr::FUTEX, "futex(FUTEX_WAIT_BITSET)", 4, Emulate, &[ptr(0, Digest, Fixed(4)), ptr(3, Digest, Fixed(16))])),
        (libc::FUTEX_WAKE_BITSET as u64, futex("futex(FUTEX_WAKE_BITSET)")),
    ] }),
    (nr::SETSOCKOPT, Operations { selector: 3, mask: 0, name: "setsockopt", errno: libc::ENOPROTOOPT, known: &[
        (0, shape(nr::SETSOCKOPT, "setsockopt", 5, Emulate, &[ptr(3, In, Arg(4, 1))])),
    ] }),
    (nr::GETSOCKOPT, Operations { selector: 3, mask: 0, name: "getsockopt", errno: libc::ENOPROTOOPT, known: &[
        (0, shape(nr::GETSOCKOPT, "getsockopt", 5, Emulate, &[ptr(3, Out, ValueResult(4)), ptr(4, InOut, Fixed(4))])),
    ] }),
];

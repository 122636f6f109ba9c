//! The system calls for which the standard library has no safe form.
#![expect(unsafe_code, reason = "raw descriptors and C structures of the system calls that make kernel objects")]

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::abi;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Takes the descriptor that a call has just made.
fn owned(result: libc::c_int) -> io::Result<OwnedFd> {
    let fd = check(result)?;
    // SAFETY: every caller passes the result of a call that makes a descriptor, at once: nothing else knows the number yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn terminated(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

pub(super) fn open(path: &Path, flags: i32) -> io::Result<OwnedFd> {
    let path = terminated(path)?;
    // SAFETY: `path` ends with NUL and outlives the call. Without O_CREAT no mode is read.
    owned(unsafe { libc::open(path.as_ptr(), flags & !libc::O_CREAT | libc::O_CLOEXEC) })
}

pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })
}

pub(super) fn socketpair(kind: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the call writes two integers, for which `fds` has room.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) })?;
    Ok((owned(fds[0])?, owned(fds[1])?))
}

pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the call writes two integers, for which `fds` has room.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    Ok((owned(fds[0])?, owned(fds[1])?))
}

/// Length of an address or a value, as the socket calls take it.
fn socklen(bytes: &[u8]) -> io::Result<libc::socklen_t> {
    bytes.len().try_into().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

pub(super) fn bind(fd: BorrowedFd<'_>, raw: &[u8]) -> io::Result<()> {
    let len = socklen(raw)?;
    // SAFETY: the kernel reads `len` bytes, the length of `raw`, without any demand on alignment.
    check(unsafe { libc::bind(fd.as_raw_fd(), raw.as_ptr().cast(), len) }).map(drop)
}

pub(super) fn connect(fd: BorrowedFd<'_>, raw: &[u8]) -> io::Result<()> {
    let len = socklen(raw)?;
    // SAFETY: as for `bind`.
    check(unsafe { libc::connect(fd.as_raw_fd(), raw.as_ptr().cast(), len) }).map(drop)
}

pub(super) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) }).map(drop)
}

pub(super) fn shutdown(fd: BorrowedFd<'_>, how: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) }).map(drop)
}

pub(super) fn setsockopt(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let len = socklen(value)?;
    // SAFETY: the kernel reads `len` bytes, the length of `value`. The model refuses options whose value holds pointers.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) }).map(drop)
}

/// Sends without waiting and without SIGPIPE.
pub(super) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads `bytes.len()` bytes of `bytes`.
    let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

pub(super) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })
}

pub(super) fn semaphore() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_SEMAPHORE) })
}

pub(super) fn epoll_create() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

/// A receiver of the signals of whoever reads from it.
pub(super) fn signalfd(mask: u64) -> io::Result<OwnedFd> {
    // The C library's sigset_t is longer than the kernel's: the call is made by number.
    // SAFETY: the kernel reads 8 bytes of `mask`, as it is told.
    let made = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const mask, size_of::<u64>(), libc::SFD_CLOEXEC) };
    owned(abi::int_result(made))
}

pub(super) fn timerfd(clock: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::timerfd_create(clock, libc::TFD_CLOEXEC) })
}

/// Sets a timer, in nanoseconds.
pub(super) fn set_timer(fd: BorrowedFd<'_>, absolute: bool, value_ns: u64, interval_ns: u64) -> io::Result<()> {
    let spec = libc::itimerspec { it_value: timespec(value_ns), it_interval: timespec(interval_ns) };
    let flags = if absolute { libc::TFD_TIMER_ABSTIME } else { 0 };
    // SAFETY: `spec` outlives the call; a null pointer for the old value is allowed.
    check(unsafe { libc::timerfd_settime(fd.as_raw_fd(), flags, &raw const spec, std::ptr::null_mut()) }).map(drop)
}

fn timespec(ns: u64) -> libc::timespec {
    libc::timespec { tv_sec: (ns / 1_000_000_000).cast_signed(), tv_nsec: (ns % 1_000_000_000).cast_signed() }
}

pub(super) fn inotify() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    owned(unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })
}

pub(super) fn watch(fd: BorrowedFd<'_>, path: &Path, mask: u32) -> io::Result<i32> {
    let path = terminated(path)?;
    // SAFETY: `path` ends with NUL and outlives the call.
    check(unsafe { libc::inotify_add_watch(fd.as_raw_fd(), path.as_ptr(), mask) })
}

pub(super) fn unwatch(fd: BorrowedFd<'_>, wd: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::inotify_rm_watch(fd.as_raw_fd(), wd) }).map(drop)
}

pub(super) fn set_status(fd: BorrowedFd<'_>, flags: i32) -> io::Result<()> {
    // SAFETY: F_SETFL takes an integer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags) }).map(drop)
}

pub(super) fn set_pipe_size(fd: BorrowedFd<'_>, bytes: i32) -> io::Result<()> {
    // SAFETY: F_SETPIPE_SZ takes an integer.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) }).map(drop)
}

pub(super) fn flock(fd: BorrowedFd<'_>, operation: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::flock(fd.as_raw_fd(), operation) }).map(drop)
}

/// Takes an open-file-description lock.
pub(super) fn lock_range(fd: BorrowedFd<'_>, lock: &libc::flock) -> io::Result<()> {
    // SAFETY: the kernel reads one struct flock, which `lock` is.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, std::ptr::from_ref(lock)) }).map(drop)
}

/// Moves the file offset; `None` to the end.
pub(super) fn seek(fd: BorrowedFd<'_>, offset: Option<u64>) -> io::Result<()> {
    let (offset, whence) = match offset {
        Some(offset) => (i64::try_from(offset).unwrap_or(i64::MAX), libc::SEEK_SET),
        None => (0, libc::SEEK_END),
    };
    // SAFETY: no memory is passed.
    let moved = unsafe { libc::lseek(fd.as_raw_fd(), offset, whence) };
    if moved < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether a read would not wait.
pub(super) fn is_readable(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the kernel reads and writes one struct pollfd, which `poll` is.
    Ok(check(unsafe { libc::poll(&raw mut poll, 1, 0) })? > 0)
}

/// Waits until the peer of a socket has hung up, at most a second.
pub(super) fn wait_for_hangup(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: the kernel reads and writes one struct pollfd, which `poll` is.
    let ready = check(unsafe { libc::poll(&raw mut poll, 1, 1000) })?;
    if ready == 0 { Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)) } else { Ok(()) }
}

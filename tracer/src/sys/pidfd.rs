//! Descriptors of another process.
#![expect(unsafe_code, reason = "pidfd_open and pidfd_getfd have no wrapper")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// A descriptor of this process for the same open file as `fd` of process `pid`, which this process traces.
///
/// # Errors
/// EBADF when the process has no such descriptor, EPERM when it may not be looked at.
pub fn borrow(pid: i32, fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers; the result is checked before it is owned.
    let pidfd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })? as i32;
    // SAFETY: pidfd_open returned a new descriptor that nobody else has.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: plain numbers; the result is checked before it is owned.
    let copy = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })? as i32;
    // SAFETY: pidfd_getfd returned a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

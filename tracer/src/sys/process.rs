//! This process itself.
#![expect(unsafe_code, reason = "signal and inherited descriptors")]

use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Sets a signal to its default action.
///
/// # Errors
/// EINVAL for a number that is no signal.
pub fn default_action(signal: i32) -> Result<(), Errno> {
    // SAFETY: SIG_DFL runs no code of this process.
    let old = unsafe { libc::signal(signal, libc::SIG_DFL) };
    if old == libc::SIG_ERR { Err(Errno::last()) } else { Ok(()) }
}

/// A descriptor that the parent process has left open at this number for this process.
///
/// # Errors
/// EBADF when there is none.
pub fn inherited(fd: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: fcntl takes plain numbers.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open, and the caller says that it was left for it: nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

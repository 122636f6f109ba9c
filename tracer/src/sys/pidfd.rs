//! Other processes by descriptor: a pid that the kernel gives to another process is never mistaken for this one.
#![expect(unsafe_code, reason = "pidfd_open, pidfd_getfd and pidfd_send_signal have no wrapper")]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use common::abi;
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

fn open(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers; the result is checked before it is owned.
    let pidfd = abi::int_result(Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?);
    // SAFETY: pidfd_open returned a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// A descriptor of this process for the same open file as `fd` of process `pid`, which this process traces.
///
/// # Errors
/// EBADF when the process has no such descriptor, EPERM when it may not be looked at.
pub fn borrow(pid: i32, fd: i32) -> Result<OwnedFd, Errno> {
    let pidfd = open(pid)?;
    // SAFETY: plain numbers; the result is checked before it is owned.
    let copy = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })?;
    // SAFETY: pidfd_getfd returned a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(abi::int_result(copy)) })
}

/// A child of this process, or one that it traces.
#[derive(Debug)]
pub struct ChildProcess(OwnedFd);

impl ChildProcess {
    /// The child that has this pid.
    ///
    /// # Errors
    /// ESRCH when there is none.
    pub fn open(pid: i32) -> Result<Self, Errno> {
        open(pid).map(Self)
    }

    /// Sends SIGKILL. A child that has ended already is what is wanted.
    pub fn kill(&self) {
        self.send(libc::SIGKILL);
    }

    /// Sends a signal. One that has ended already gets none.
    pub fn send(&self, signal: i32) {
        let none: *const libc::siginfo_t = std::ptr::null();
        // SAFETY: plain numbers, and no siginfo: the kernel fills one in.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, none, 0) };
    }

    /// Whether it has ended, reaped or not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut fds = [nix::poll::PollFd::new(self.0.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Waits until it has ended and is reaped, by this thread or another one.
    pub fn reap(&self) {
        // Any other error than EINTR says that there is nobody to wait for any more.
        while waitid(Id::PIDFd(self.0.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::__WALL) == Err(Errno::EINTR) {}
    }
}

/// A child that is killed and reaped, unless what it was started for succeeds.
#[derive(Debug)]
pub struct Provisional(Option<ChildProcess>);

impl Provisional {
    /// Takes the child that has this pid.
    ///
    /// # Errors
    /// ESRCH when there is none.
    pub fn new(pid: i32) -> Result<Self, Errno> {
        Ok(Self(Some(ChildProcess::open(pid)?)))
    }

    /// It lives on.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Provisional {
    fn drop(&mut self) {
        if let Some(child) = &self.0 {
            child.kill();
            child.reap();
        }
    }
}

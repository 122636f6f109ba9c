//! This process itself.
#![expect(unsafe_code, reason = "sigaction")]

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

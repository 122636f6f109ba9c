//! Calls inside the server.

use std::io;

use common::abi;

use super::{GoLiveError, Target};

/// A target with results that distinguish 'failed' from 'could not be run'.
pub(super) struct Server<'a> {
    pub(super) target: &'a mut dyn Target,
}

impl<'a> Server<'a> {
    pub(super) fn new(target: &'a mut dyn Target) -> Self {
        Self { target }
    }

    /// Runs a call whose failure is for the caller to judge.
    pub(super) fn try_run(&mut self, number: i64, args: [u64; 6]) -> Result<io::Result<u64>, GoLiveError> {
        let result = self.target.call(number, args)?;
        Ok(u64::try_from(result).map_err(|_| {
            let errno = i32::try_from(result.saturating_neg()).unwrap_or(libc::EINVAL);
            io::Error::from_raw_os_error(errno)
        }))
    }

    /// Runs a call that must not fail.
    pub(super) fn run(&mut self, name: &'static str, number: i64, args: [u64; 6]) -> Result<u64, GoLiveError> {
        self.try_run(number, args)?.map_err(|source| GoLiveError::Refused { call: name, source })
    }

    /// Puts a text with its NUL at the scratch address.
    pub(super) fn text(&mut self, text: &[u8]) -> Result<u64, GoLiveError> {
        Ok(self.target.scratch(&[text, b"\0"].concat())?)
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<u64, GoLiveError> {
        Ok(self.target.scratch(bytes)?)
    }

    pub(super) fn dup(&mut self, from: i32, to: i32, cloexec: bool) -> Result<(), GoLiveError> {
        let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
        self.run("dup3", libc::SYS_dup3, [abi::word(from), abi::word(to), abi::word(flags), 0, 0, 0]).map(drop)
    }
}

//! `nc` as a client: what it is fed, and what it must print, byte for byte.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::installed;
use super::program::{Exit, Program};

/// A conversation through one `nc`.
#[derive(Debug)]
pub(crate) struct Netcat {
    program: Program,
    expected: Vec<u8>,
}

impl Netcat {
    pub(crate) fn connect(address: SocketAddr, dir: &Path) -> Result<Self> {
        let mut command = Command::new(installed("nc")?);
        // -N: the end of the input closes this half of the connection.
        command.arg("-N").arg(address.ip().to_string());
        command.arg(address.port().to_string());
        let program = Program::start_fed("nc", &mut command, dir)?;
        let expected = Vec::new();
        Ok(Self { program, expected })
    }

    /// Sends `request`, to which the server answers `reply`.
    pub(crate) fn say(&mut self, request: &str, reply: &str) -> Result<()> {
        self.expected.extend_from_slice(reply.as_bytes());
        self.program.feed(request.as_bytes())
    }

    /// Waits until everything has been answered.
    pub(crate) fn answered(&mut self) -> Result<()> {
        let wanted = &self.expected;
        self.program.wait_stdout("every reply", |printed| printed.len() >= wanted.len())?;
        let printed = self.program.stdout()?;
        ensure!(
            printed == *wanted,
            "nc printed \"{}\" instead of \"{}\"",
            printed.escape_ascii(),
            wanted.escape_ascii()
        );
        Ok(())
    }

    /// Ends the conversation: the server closes its side too, and nothing more comes.
    pub(crate) fn end(mut self) -> Result<()> {
        self.answered()?;
        self.program.end_input();
        let exit = self.program.wait()?;
        ensure!(exit == Exit::Code(0), "nc ended with {exit:?}");
        self.answered()
    }
}

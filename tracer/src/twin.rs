//! A copy of a stopped process that never runs: what its memory was at that moment stays there to be read.
//!
//! The process is made to fork. Its copy becomes a child of ftrun, as it is itself, so it never hears of it; it is traced from its first
//! instruction on, before which it stays, and ends when its value is dropped, or with its tracer. The two share open files and the
//! working directory. Memory that is mapped shared is no copy: it goes on changing.

use std::fs::File;
use std::os::unix::fs::FileExt;

use common::syscall::{Fault, Memory};
use nix::errno::Errno;

use crate::inject::{self, Child, Held, InjectError, Session};
use crate::sys::pidfd::Provisional;
use crate::tracee::{Registers, Stopped, TraceeError, open_memory};

/// The copy.
#[derive(Debug)]
pub struct Twin {
    pid: i32,
    memory: File,
    _process: Provisional,
}

/// What came of it.
#[derive(Debug)]
pub struct Twinned {
    /// The process, where it was.
    pub stopped: Stopped,
    /// Its copy, or why there is none: EAGAIN at a limit on processes (RLIMIT_NPROC), ENOMEM.
    pub twin: Result<Twin, Errno>,
    /// Signals that arrived meanwhile.
    pub arrived: Vec<Held>,
}

impl Twin {
    /// Copies a process that stands in its own code, and goes on at `back`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn of(stopped: Stopped, back: &Registers) -> Result<Twinned, InjectError> {
        let flags = libc::CLONE_PARENT | libc::CLONE_FILES | libc::CLONE_FS;
        let (session, cloned) = Session::begin(stopped, *back).clone(flags.cast_unsigned().into())?;
        let (stopped, arrived) = session.end()?;
        let twin = match cloned {
            Ok(Child { pid, process }) => match open_memory(pid) {
                Ok(memory) => Ok(Self { pid, memory, _process: process }),
                Err(TraceeError::Memory { error, .. }) => {
                    Err(error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))
                }
                Err(other) => return Err(other.into()),
            },
            Err(errno) => Err(errno),
        };
        Ok(Twinned { stopped, twin, arrived })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether its memory is still there: then it was all the time. It is not when somebody has killed it.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.read(inject::PAGE, &mut [0]).is_ok()
    }
}

impl Memory for Twin {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault { address, length: buffer.len() };
        self.memory.read_exact_at(buffer, address).map_err(|_| fault)
    }
}

//! Runs system calls inside a stopped process.
//!
//! A page of ftrun's own stands at [`PAGE`] in every server, primary and backup alike: its code is `syscall; int3`, behind it
//! is a scratch area. A [`Session`] takes a stopped process, makes it run calls from that page, and gives it back with the registers
//! it is to go on with. Signals that arrive meanwhile are kept and handed back with it.

use common::abi;
use common::syscall::nr;
use nix::errno::Errno;
use thiserror::Error;

use crate::sys::pidfd::Provisional;
use crate::sys::ptrace::{Resume, SIGINFO_LEN};
use crate::tracee::{Event, Registers, Stopped, TraceeError};

/// Where ftrun's page is: the lowest address that any process may map.
pub const PAGE: u64 = 0x10000;
/// The scratch area behind it.
pub const SCRATCH: u64 = PAGE + 0x1000;
/// Its size in bytes.
pub const SCRATCH_LEN: usize = 0x10000;
/// One past the last byte of ftrun's own area.
pub const PAGE_END: u64 = SCRATCH + SCRATCH_LEN as u64;
/// `syscall; int3`.
pub const CODE: [u8; 3] = [0x0f, 0x05, 0xcc];

/// Why a call could not be run inside the server.
#[derive(Debug, Error)]
pub enum InjectError {
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// The call failed.
    #[error("system call {number} run inside the server failed: {errno}")]
    Call {
        /// Its number.
        number: i64,
        /// Why.
        errno: Errno,
    },
    /// More bytes than the scratch area holds.
    #[error("{found} bytes do not fit the scratch area of {SCRATCH_LEN} bytes")]
    Scratch {
        /// How many.
        found: usize,
    },
}

/// A signal that was taken from the kernel and not yet delivered.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its number.
    pub signal: i32,
    /// siginfo_t.
    pub info: [u8; SIGINFO_LEN],
}

/// A process that another one was made to start.
#[derive(Debug)]
pub struct Child {
    /// Its id.
    pub pid: i32,
    /// It ends with this value.
    pub process: Provisional,
}

/// A process that is being made to run calls.
#[derive(Debug)]
pub struct Session {
    stopped: Stopped,
    back: Registers,
    site: u64,
    held: Vec<Held>,
}

impl Session {
    /// Takes over a process; `back` are the registers it goes on with afterwards.
    #[must_use]
    pub fn begin(stopped: Stopped, back: Registers) -> Self {
        Self { stopped, back, site: PAGE, held: Vec::new() }
    }

    /// As [`Session::begin`], with the `syscall` instruction at another place than [`PAGE`].
    #[must_use]
    pub fn begin_at(stopped: Stopped, back: Registers, site: u64) -> Self {
        Self { stopped, back, site, held: Vec::new() }
    }

    /// The calls to come run from [`PAGE`], which now exists.
    pub fn use_page(&mut self) {
        self.site = PAGE;
    }

    /// The process, to read and write its memory.
    #[must_use]
    pub fn process(&self) -> &Stopped {
        &self.stopped
    }

    /// Runs one call; a negative errno is a result like others.
    ///
    /// # Errors
    /// When the process is gone or behaves unexpectedly; it is then lost (the error says how it ended).
    pub fn call_raw(self, number: i64, args: [u64; 6]) -> Result<(Self, i64), InjectError> {
        let (session, before) = self.before_call(number, args)?;
        session.after_call(before)
    }

    /// Makes it fork by a clone(2) with these flags. The new process stands before its first instruction, and is traced as this one is.
    ///
    /// # Errors
    /// As [`Session::call_raw`]; that the call fails is a result.
    pub fn clone(self, flags: u64) -> Result<(Self, Result<Child, Errno>), InjectError> {
        let (mut session, before) = self.before_call(nr::CLONE.into(), [flags, 0, 0, 0, 0, 0])?;
        let mut child = None;
        let stopped = run_to(before, Resume::ToSyscallExit, &mut session.held, |event| {
            if let Event::Forked(_, pid) = event {
                child = Some(*pid);
            }
            matches!(event, Event::Forked(..) | Event::SyscallExit(_))
        })?;
        let Some(pid) = child else {
            let failed = abi::int_result(stopped.registers()?.rax.cast_signed().wrapping_neg());
            return Ok((session.at(stopped), Err(Errno::from_raw(failed))));
        };
        let child = Provisional::new(pid).map(|process| Child { pid, process });
        let (session, _) = session.after_call(stopped)?;
        Ok((session, child))
    }

    /// Runs to the beginning of a call.
    fn before_call(self, number: i64, args: [u64; 6]) -> Result<(Between, Stopped), InjectError> {
        let Self { stopped, back, site, mut held } = self;
        let mut regs = back;
        regs.rip = site;
        regs.rax = abi::word(number);
        regs.orig_rax = u64::MAX;
        [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = args;
        stopped.set_registers(&regs)?;
        let before = run_to(stopped, Resume::Continue, &mut held, |e| matches!(e, Event::Seccomp(_)))?;
        Ok((Between { back, site, held }, before))
    }

    /// Runs one call that must succeed.
    ///
    /// # Errors
    /// As [`Session::call_raw`], or when the call fails.
    pub fn call(self, number: i64, args: [u64; 6]) -> Result<(Self, u64), InjectError> {
        let (session, result) = self.call_raw(number, args)?;
        if (-4095..0).contains(&result) {
            let errno = Errno::from_raw(abi::int_result(-result));
            return Err(InjectError::Call { number, errno });
        }
        Ok((session, abi::word(result)))
    }

    /// Puts bytes into the scratch area and gives their address.
    ///
    /// # Errors
    /// When they are too many.
    pub fn scratch(&self, bytes: &[u8]) -> Result<u64, InjectError> {
        if bytes.len() > SCRATCH_LEN {
            return Err(InjectError::Scratch { found: bytes.len() });
        }
        self.stopped.write(SCRATCH, bytes)?;
        Ok(SCRATCH)
    }

    /// Gives the process back, with its registers set and the scratch area cleared, and what signals arrived.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn end(self) -> Result<(Stopped, Vec<Held>), InjectError> {
        let mut back = self.back;
        back.orig_rax = u64::MAX;
        self.stopped.set_registers(&back)?;
        Ok((self.stopped, self.held))
    }
}

/// A [`Session`] whose process is in a call.
struct Between {
    back: Registers,
    site: u64,
    held: Vec<Held>,
}

impl Between {
    fn at(self, stopped: Stopped) -> Session {
        let Self { back, site, held } = self;
        Session { stopped, back, site, held }
    }

    /// Runs to the end of the call, and gives its result.
    fn after_call(mut self, stopped: Stopped) -> Result<(Session, i64), InjectError> {
        let wanted = |event: &Event| matches!(event, Event::SyscallExit(_));
        let after = run_to(stopped, Resume::ToSyscallExit, &mut self.held, wanted)?;
        let result = after.registers()?.rax.cast_signed();
        Ok((self.at(after), result))
    }
}

/// Runs until an event of the wanted kind, keeping the signals that come before it.
fn run_to(
    stopped: Stopped,
    how: Resume,
    held: &mut Vec<Held>,
    mut wanted: impl FnMut(&Event) -> bool,
) -> Result<Stopped, InjectError> {
    let pid = stopped.pid();
    let mut event = stopped.run(how, 0)?;
    loop {
        event = match event {
            Event::Signal(stopped, signal) => {
                held.push(Held { signal, info: stopped.siginfo()? });
                stopped.run(how, 0)?
            }
            Event::Dead(status) => return Err(TraceeError::Gone { pid, status }.into()),
            found if !wanted(&found) => {
                let found = found.name();
                return Err(TraceeError::Unexpected { pid, expected: "an injected system call", found }.into());
            }
            Event::Seccomp(stopped)
            | Event::SyscallExit(stopped)
            | Event::Exec(stopped)
            | Event::Interrupted(stopped)
            | Event::Forked(stopped, _) => return Ok(stopped),
        };
    }
}

//! A traced process as a value: [`Stopped`] can be looked at and changed, resuming consumes it.
//!
//! ptrace requests must come from the thread that attached: a `Stopped` never leaves it. The death of the process is an
//! [`Event`], or an error ([`TraceeError::Gone`]) when a request finds nobody there.
//!
//! A job-control stop is a pause in time and nothing else: [`Running::wait`] sits it out.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use common::abi;
use common::digest::REGISTERS;
use common::syscall::{Fault, Memory};
use nix::errno::Errno;
use thiserror::Error;

use crate::sys::alarm::Interrupt;
use crate::sys::ptrace::{self, Resume, SIGINFO_LEN};

pub use libc::user_regs_struct as Registers;

/// Why a traced process cannot be handled further.
#[derive(Debug, Error)]
pub enum TraceeError {
    /// It was killed; its wait status tells how.
    #[error("the server process {pid} is gone (wait status {status:#x})")]
    Gone {
        /// Process.
        pid: i32,
        /// As of waitpid(2).
        status: i32,
    },
    /// A request failed.
    #[error("cannot {what} process {pid}: {errno}")]
    Request {
        /// What was tried.
        what: &'static str,
        /// Process.
        pid: i32,
        /// Why.
        errno: Errno,
    },
    /// Its memory cannot be read or written there.
    #[error("memory of process {pid} at {address:#x}, {length} bytes: {error}")]
    Memory {
        /// Process.
        pid: i32,
        /// Where.
        address: u64,
        /// How much.
        length: usize,
        /// Why.
        error: io::Error,
    },
    /// It stopped for a reason that does not fit here.
    #[error("process {pid}: expected {expected}, found {found}")]
    Unexpected {
        /// Process.
        pid: i32,
        /// What should have come.
        expected: &'static str,
        /// What came.
        found: String,
    },
}

impl TraceeError {
    /// Whether the process has ended, by itself or by a signal.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Gone { .. } => true,
            Self::Request { errno, .. } => *errno == Errno::ESRCH,
            Self::Memory { .. } | Self::Unexpected { .. } => false,
        }
    }
}

#[derive(Debug)]
struct Process {
    pid: i32,
    memory: File,
}

/// A process that stands still.
#[derive(Debug)]
pub struct Stopped {
    process: Process,
}

/// A process on its way.
#[derive(Debug)]
pub struct Running {
    process: Process,
    how: Resume,
}

/// Where a process arrived.
#[derive(Debug)]
pub enum Event {
    /// Before a system call.
    Seccomp(Stopped),
    /// After a system call.
    SyscallExit(Stopped),
    /// Before a signal is delivered.
    Signal(Stopped, i32),
    /// A new program was loaded (in the middle of execve).
    Exec(Stopped),
    /// It has started a process, which has this pid (in the middle of fork or clone).
    Forked(Stopped, i32),
    /// Wherever it was when an alarm went off.
    Interrupted(Stopped),
    /// It is dead: the wait status.
    Dead(i32),
}

impl Event {
    /// The process that has stopped, if it has.
    #[must_use]
    pub fn stopped(&self) -> Option<&Stopped> {
        match self {
            Self::Seccomp(stopped)
            | Self::SyscallExit(stopped)
            | Self::Signal(stopped, _)
            | Self::Exec(stopped)
            | Self::Interrupted(stopped)
            | Self::Forked(stopped, _) => Some(stopped),
            Self::Dead(_) => None,
        }
    }

    /// The same, taken out.
    #[must_use]
    pub fn into_stopped(self) -> Option<Stopped> {
        match self {
            Self::Seccomp(stopped)
            | Self::SyscallExit(stopped)
            | Self::Signal(stopped, _)
            | Self::Exec(stopped)
            | Self::Interrupted(stopped)
            | Self::Forked(stopped, _) => Some(stopped),
            Self::Dead(_) => None,
        }
    }

    /// Its name, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Seccomp(_) => "a system call".into(),
            Self::SyscallExit(_) => "the return of a system call".into(),
            Self::Signal(_, signal) => format!("signal {signal}"),
            Self::Exec(_) => "an exec".into(),
            Self::Forked(_, child) => format!("the start of process {child}"),
            Self::Interrupted(_) => "an interruption".into(),
            Self::Dead(status) => format!("the end of the process (wait status {status:#x})"),
        }
    }
}

/// The system call in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// All six argument registers.
    pub args: [u64; 6],
}

impl Call {
    /// Its number as a record holds it. One that does not fit is no call: it becomes `u16::MAX`, which is none either.
    #[must_use]
    pub fn record_number(&self) -> u16 {
        u16::try_from(self.number).unwrap_or(u16::MAX)
    }
}

/// Reads number and arguments from the registers at a seccomp stop.
#[must_use]
pub fn call_of(regs: &Registers) -> Call {
    Call { number: regs.orig_rax, args: [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] }
}

/// The registers that a check holds.
#[must_use]
pub fn checked(regs: &Registers) -> [u64; REGISTERS] {
    [
        regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9, regs.rbx, regs.rbp, regs.r12, regs.r13, regs.r14,
        regs.r15, regs.rip, regs.rsp,
    ]
}

impl Process {
    fn error(&self, what: &'static str, errno: Errno) -> TraceeError {
        if errno == Errno::ESRCH {
            // Killed between two requests: its end is there to be collected.
            if let Ok(status) = ptrace::wait(self.pid) {
                return TraceeError::Gone { pid: self.pid, status };
            }
        }
        TraceeError::Request { what, pid: self.pid, errno }
    }
}

impl Running {
    /// A process that was just seized.
    ///
    /// # Errors
    /// When its memory cannot be opened.
    pub fn seized(pid: i32) -> Result<Self, TraceeError> {
        Ok(Self { process: Process { pid, memory: open_memory(pid)? }, how: Resume::Continue })
    }

    /// Waits until it stops or ends.
    ///
    /// # Errors
    /// When it is no child, or stops in a way that was not asked for.
    pub fn wait(self) -> Result<Event, TraceeError> {
        self.wait_until(None)
    }

    /// Waits until it stops or ends, or is to be interrupted, which stops it. While somebody else has stopped it nothing is done to it.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub fn wait_until(self, mut interrupt: Option<&mut dyn Interrupt>) -> Result<Event, TraceeError> {
        let Self { process, how } = self;
        let (mut asked, mut listens) = (false, false);
        let (status, signal) = loop {
            let due = !asked && !listens && interrupt.as_mut().is_some_and(|interrupt| interrupt.is_due());
            // One that is gone, or has stopped by itself, is the next thing to wait for.
            asked |= due && ptrace::interrupt(process.pid).is_ok();
            let status = match ptrace::wait_or_wake(process.pid) {
                Err(Errno::EINTR) => continue,
                other => other.map_err(|errno| process.error("wait for", errno))?,
            };
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                return Ok(Event::Dead(status));
            }
            let signal = libc::WSTOPSIG(status);
            if status >> 16 != libc::PTRACE_EVENT_STOP {
                break (status, signal);
            }
            // A stop signal: it is in a group stop and stays there. SIGTRAP: SIGCONT has come (ptrace(2), PTRACE_LISTEN), or it was
            // interrupted, perhaps for an alarm that is not waited for any more.
            listens = is_stop(signal);
            if asked && !listens {
                return Ok(Event::Interrupted(Stopped { process }));
            }
            asked = false;
            let how = if listens { Resume::Listen } else { how };
            match ptrace::resume(process.pid, how, 0) {
                // Killed meanwhile: its end is the next thing to wait for.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(process.error("resume", errno)),
            }
        };
        let stopped = Stopped { process };
        Ok(match status >> 16 {
            0 if signal == libc::SIGTRAP | 0x80 => Event::SyscallExit(stopped),
            0 => Event::Signal(stopped, signal),
            libc::PTRACE_EVENT_SECCOMP => Event::Seccomp(stopped),
            libc::PTRACE_EVENT_EXEC => Event::Exec(stopped),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                let child = stopped.wrap("ask for the child of", ptrace::event_message(stopped.pid()))?;
                Event::Forked(stopped, i32::try_from(child).unwrap_or(i32::MAX))
            }
            other => {
                return Err(TraceeError::Unexpected {
                    pid: stopped.pid(),
                    expected: "a stop that was asked for",
                    found: format!("ptrace event {other}"),
                });
            }
        })
    }
}

/// Whether a signal is one that stops a process.
pub(crate) fn is_stop(signal: i32) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

/// Whether a process that this thread traces is about to end: its memory is gone, ftrun's own page among it.
#[must_use]
pub fn has_no_memory(pid: i32) -> bool {
    let page = open_memory(pid).and_then(|memory| {
        let found = memory.read_exact_at(&mut [0], crate::inject::PAGE);
        found.map_err(|error| TraceeError::Memory { pid, address: crate::inject::PAGE, length: 1, error })
    });
    page.is_err()
}

pub(crate) fn open_memory(pid: i32) -> Result<File, TraceeError> {
    File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).map_err(|error| TraceeError::Memory {
        pid,
        address: 0,
        length: 0,
        error,
    })
}

impl Stopped {
    /// A process that is traced and about to stop by itself: one that was just started, or was asked to ([`ptrace::interrupt`]).
    ///
    /// # Errors
    /// When it is gone, or stops for another reason.
    pub fn arriving(pid: i32) -> Result<Self, TraceeError> {
        let stopped = Self { process: Process { pid, memory: open_memory(pid)? } };
        let status = stopped.wrap("wait for", ptrace::wait(pid))?;
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            return Err(TraceeError::Gone { pid, status });
        }
        if status >> 16 == libc::PTRACE_EVENT_STOP {
            return Ok(stopped);
        }
        let found = format!("wait status {status:#x}");
        Err(TraceeError::Unexpected { pid, expected: "the stop that was asked for", found })
    }

    /// Lets it go on, traced by nobody.
    ///
    /// # Errors
    /// When it is gone.
    pub fn detach(self) -> Result<(), TraceeError> {
        self.wrap("detach from", ptrace::detach(self.pid()))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid
    }

    /// After an exec the memory is another one.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reopen_memory(&mut self) -> Result<(), TraceeError> {
        self.process.memory = open_memory(self.pid())?;
        Ok(())
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resume(self, how: Resume, signal: i32) -> Result<Running, TraceeError> {
        let process = self.process;
        match ptrace::resume(process.pid, how, signal) {
            Ok(()) => Ok(Running { process, how }),
            Err(errno) => Err(process.error("resume", errno)),
        }
    }

    /// Lets it go on and waits for the next event.
    ///
    /// # Errors
    /// As [`Stopped::resume`] and [`Running::wait`]; a process found dead is [`Event::Dead`].
    pub fn run(self, how: Resume, signal: i32) -> Result<Event, TraceeError> {
        self.run_until(how, signal, None)
    }

    /// As [`Stopped::run`], at the longest until it is to be interrupted.
    ///
    /// # Errors
    /// As [`Stopped::run`].
    pub fn run_until(
        self,
        how: Resume,
        signal: i32,
        interrupt: Option<&mut dyn Interrupt>,
    ) -> Result<Event, TraceeError> {
        match self.resume(how, signal) {
            Ok(running) => running.wait_until(interrupt),
            Err(TraceeError::Gone { status, .. }) => Ok(Event::Dead(status)),
            Err(other) => Err(other),
        }
    }

    fn wrap<T>(&self, what: &'static str, result: Result<T, Errno>) -> Result<T, TraceeError> {
        result.map_err(|errno| self.process.error(what, errno))
    }

    /// General registers.
    ///
    /// # Errors
    /// When it is gone.
    pub fn registers(&self) -> Result<Registers, TraceeError> {
        self.wrap("read the registers of", ptrace::registers(self.pid()))
    }

    /// Sets the general registers.
    ///
    /// # Errors
    /// When it is gone.
    pub fn set_registers(&self, regs: &Registers) -> Result<(), TraceeError> {
        self.wrap("set the registers of", ptrace::set_registers(self.pid(), regs))
    }

    /// Extended state in the XSAVE layout.
    ///
    /// # Errors
    /// When it is gone.
    pub fn xstate(&self) -> Result<Vec<u8>, TraceeError> {
        self.wrap("read the extended state of", ptrace::xstate(self.pid()))
    }

    /// Sets the extended state.
    ///
    /// # Errors
    /// When it is gone or the layout differs.
    pub fn set_xstate(&self, state: &[u8]) -> Result<(), TraceeError> {
        self.wrap("set the extended state of", ptrace::set_xstate(self.pid(), state))
    }

    /// siginfo of the signal about to be delivered.
    ///
    /// # Errors
    /// When it is gone.
    pub fn siginfo(&self) -> Result<[u8; SIGINFO_LEN], TraceeError> {
        self.wrap("read the signal of", ptrace::siginfo(self.pid()))
    }

    /// Sets it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn set_siginfo(&self, info: &[u8; SIGINFO_LEN]) -> Result<(), TraceeError> {
        self.wrap("set the signal of", ptrace::set_siginfo(self.pid(), info))
    }

    /// The mask of blocked signals.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal_mask(&self) -> Result<u64, TraceeError> {
        self.wrap("read the signal mask of", ptrace::signal_mask(self.pid()))
    }

    /// Sets it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn set_signal_mask(&self, mask: u64) -> Result<(), TraceeError> {
        self.wrap("set the signal mask of", ptrace::set_signal_mask(self.pid(), mask))
    }

    /// Whether any signals wait for it, blocked ones among them.
    ///
    /// # Errors
    /// When it is gone.
    pub fn has_signals(&self) -> Result<bool, TraceeError> {
        self.wrap("look at the signals of", ptrace::has_signals(self.pid()))
    }

    /// The siginfo_t of signals that wait for its thread, in the order in which they came; those for the process are not among them.
    ///
    /// # Errors
    /// When it is gone.
    pub fn queued_signals(&self) -> Result<Vec<[u8; SIGINFO_LEN]>, TraceeError> {
        self.wrap("look at the signals of", ptrace::queued(self.pid()))
    }

    /// Sends it a signal, which it will take when it goes on.
    ///
    /// # Errors
    /// When it is gone.
    pub fn send(&self, signal: i32) -> Result<(), TraceeError> {
        self.wrap("send a signal to", ptrace::send(self.pid(), signal))
    }

    /// Lets it stop before the instruction at `address`, by a hardware breakpoint; `None` takes that away.
    ///
    /// # Errors
    /// When it is gone, or there are no breakpoints.
    pub fn set_breakpoint(&self, address: Option<u64>) -> Result<(), TraceeError> {
        self.wrap("set a breakpoint in", ptrace::set_breakpoint(self.pid(), address))
    }

    /// Writes memory, whatever its protection.
    ///
    /// # Errors
    /// When it is not mapped.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), TraceeError> {
        self.process.memory.write_all_at(bytes, address).map_err(|error| TraceeError::Memory {
            pid: self.pid(),
            address,
            length: bytes.len(),
            error,
        })
    }

    /// Makes the system call that it stopped before not happen: it returns `result` instead.
    ///
    /// # Errors
    /// When it is gone.
    pub fn skip_call(&self, result: i64) -> Result<(), TraceeError> {
        let mut regs = self.registers()?;
        regs.orig_rax = u64::MAX;
        regs.rax = abi::word(result);
        self.set_registers(&regs)
    }
}

impl Memory for Stopped {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault { address, length: buffer.len() };
        self.process.memory.read_exact_at(buffer, address).map_err(|_| fault)
    }
}

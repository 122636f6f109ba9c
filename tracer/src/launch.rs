//! Starts a program under control: no address randomisation, no vDSO, rdtsc trapped, every system call stopped.

mod program;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;

use common::abi;
use common::syscall::{Memory, nr};
use nix::errno::Errno;
use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
use thiserror::Error;

pub use self::program::find_program;
pub(crate) use self::program::{interpreter_of, is_of_another_width};
use crate::hand;
use crate::inject::{self, InjectError, Session};
use crate::interceptor;
use crate::interceptor::layout as at;
use crate::interceptor::shared::Shared;
use crate::sys::pidfd::Provisional;
use crate::sys::ptrace::{self, Resume};
use crate::sys::spawn::{self, Image, Program, Step};
use crate::tracee::{Event, Running, Stopped, TraceeError};

const AT_SYSINFO_EHDR: u64 = 33;
const AT_IGNORE: u64 = 1;

/// Why a program could not be started.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// No such program.
    #[error("{program}: no such program{hint}")]
    NotFound {
        /// As given.
        program: String,
        /// Where it was looked for.
        hint: String,
    },
    /// It is there, but cannot be executed.
    #[error("{program}: cannot be executed: {reason}")]
    NotExecutable {
        /// Its path.
        program: String,
        /// Why, and what to do.
        reason: String,
    },
    /// execve failed; the caller knows of which program.
    #[error("the blank process cannot be executed: {0}")]
    Exec(String),
    /// ptrace is not allowed here.
    #[error(
        "ptrace is refused: {0}; ftrun traces the server it starts, so the system must allow ptrace(2) \
         (container: add the SYS_PTRACE capability or allow it in the seccomp profile; else see the sysctl \
         kernel.yama.ptrace_scope)"
    )]
    PtraceRefused(Errno),
    /// The filter could not be built or installed, or another preparation failed.
    #[error("cannot prepare the server process: {0}")]
    Prepare(String),
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// A call inside of it failed.
    #[error(transparent)]
    Inject(#[from] InjectError),
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Environment.
    pub env: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    /// The processor for tracer and server.
    pub cpu: Option<usize>,
}

fn c_string(bytes: &[u8]) -> Result<CString, LaunchError> {
    CString::new(bytes).map_err(|_| LaunchError::Prepare("an argument contains a NUL byte".into()))
}

/// Every call stops for the tracer, but those of the interceptor's one `syscall` instruction.
fn filter() -> Result<seccompiler::BpfProgram, LaunchError> {
    let behind = interceptor::code::places().behind;
    let [low, high] = [abi::uint(behind), abi::uint(behind >> 32)];
    // struct seccomp_data: the instruction pointer, behind the instruction, stands at offset 8.
    let [load, equal, give] = [
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    ];
    let instruction =
        |code: u32, jt, jf, k| seccompiler::sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k };
    let mut program = vec![
        instruction(load, 0, 0, 8),
        instruction(equal, 0, 3, low),
        instruction(load, 0, 0, 12),
        instruction(equal, 0, 1, high),
        instruction(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    program.extend(stop_all()?);
    Ok(program)
}

fn stop_all() -> Result<seccompiler::BpfProgram, LaunchError> {
    let build = || {
        let filter =
            SeccompFilter::new(BTreeMap::new(), SeccompAction::Trace(0), SeccompAction::Allow, TargetArch::x86_64)?;
        seccompiler::BpfProgram::try_from(filter)
    };
    build().map_err(|error: seccompiler::BackendError| LaunchError::Prepare(format!("the system-call filter: {error}")))
}

/// Starts `command` and stops it before its first instruction.
///
/// # Errors
/// When it cannot be found, executed or traced.
pub fn launch(command: &Command, shared: &Shared) -> Result<Stopped, LaunchError> {
    let name = command.argv.first().ok_or_else(|| LaunchError::Prepare("no program is named".into()))?;
    let found = find_program(name)?;
    let (path, argv) = program::through_env(&found, &command.argv)?.unwrap_or((found, command.argv.clone()));
    let argv = argv.iter().map(|a| c_string(a.as_bytes())).collect::<Result<_, _>>()?;
    let envp = command
        .env
        .iter()
        .map(|(key, value)| c_string(&[key.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<Result<_, _>>()?;
    let image = Image {
        program: Program::Path(c_string(path.as_os_str().as_bytes())?),
        argv,
        envp,
        filter: filter()?,
        cpu: command.cpu,
        new_session: false,
        keep: shared.file().as_raw_fd(),
    };
    let stopped = start(&image).map_err(|error| match error {
        LaunchError::Exec(reason) => LaunchError::NotExecutable { program: path.display().to_string(), reason },
        other => other,
    })?;
    let provisional = provisional(&stopped)?;
    let stopped = prepare(stopped, shared, Some(abi::word(shared.file().as_raw_fd())))?;
    provisional.keep();
    Ok(stopped)
}

/// Ends the process unless it is kept: for whoever goes on preparing it.
///
/// # Errors
/// When it is gone.
pub fn provisional(stopped: &Stopped) -> Result<Provisional, LaunchError> {
    Provisional::new(stopped.pid()).map_err(|errno| LaunchError::Prepare(format!("pidfd_open: {errno}")))
}

/// Starts a process that is nothing but ftrun's page: a snapshot is restored into it.
///
/// # Errors
/// When it cannot be made or traced.
pub fn blank(cpu: Option<usize>, shared: &Shared) -> Result<Stopped, LaunchError> {
    let file = spawn::memory_file(c"ftrun-blank", &blank_program())
        .map_err(|errno| LaunchError::Prepare(format!("a memory file: {errno}")))?;
    let image = Image {
        program: Program::File(file),
        argv: vec![c_string(b"ftrun-replica")?],
        envp: Vec::new(),
        filter: filter()?,
        cpu,
        new_session: false,
        keep: shared.file().as_raw_fd(),
    };
    let stopped = start(&image)?;
    let provisional = provisional(&stopped)?;
    let regs = stopped.registers()?;
    let session = Session::begin(stopped, regs);
    let fd = abi::word(shared.file().as_raw_fd());
    let (stopped, _) = map_interceptor(map_scratch(session)?, fd)?.end()?;
    provisional.keep();
    Ok(stopped)
}

/// The smallest ELF program with ftrun's page as its one segment.
fn blank_program() -> Vec<u8> {
    const EHDR: u16 = 64;
    const PHDR: u16 = 56;
    let mut elf = Vec::new();
    elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    elf.extend(2u16.to_le_bytes()); // ET_EXEC
    elf.extend(62u16.to_le_bytes()); // EM_X86_64
    elf.extend(1u32.to_le_bytes());
    elf.extend(inject::PAGE.to_le_bytes()); // entry
    elf.extend(u64::from(EHDR).to_le_bytes()); // program headers
    elf.extend(0u64.to_le_bytes()); // section headers
    elf.extend(0u32.to_le_bytes());
    for half in [EHDR, PHDR, 1, 64, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1u32.to_le_bytes()); // PT_LOAD
    elf.extend(5u32.to_le_bytes()); // readable, executable
    for word in [0x1000, inject::PAGE, inject::PAGE, 0x1000, 0x1000, 0x1000] {
        elf.extend(u64::to_le_bytes(word));
    }
    elf.resize(0x1000, 0);
    elf.extend(inject::CODE);
    elf.resize(0x2000, 0xcc);
    elf
}

/// Forks, seizes, and follows the child to the return of its execve.
fn start(image: &Image) -> Result<Stopped, LaunchError> {
    let prepare = |what: &str, errno: Errno| LaunchError::Prepare(format!("{what}: {errno}"));
    let child = spawn::fork(image).map_err(|errno| prepare("fork", errno))?;
    let provisional = Provisional::new(child.pid).map_err(|errno| prepare("pidfd_open", errno))?;
    ptrace::seize(child.pid).map_err(LaunchError::PtraceRefused)?;
    let running = Running::seized(child.pid)?;
    nix::unistd::write(&child.go, &[1]).map_err(|errno| prepare("the start pipe", errno))?;
    let mut event = running.wait()?;
    loop {
        event = match event {
            Event::Seccomp(stopped)
            | Event::SyscallExit(stopped)
            | Event::Interrupted(stopped)
            | Event::Forked(stopped, _) => stopped.run(Resume::Continue, 0)?,
            Event::Signal(stopped, signal) => stopped.run(Resume::Continue, signal)?,
            Event::Exec(mut stopped) => {
                stopped.reopen_memory()?;
                match stopped.run(Resume::ToSyscallExit, 0)? {
                    Event::SyscallExit(stopped) => {
                        provisional.keep();
                        return Ok(stopped);
                    }
                    other => {
                        let found = other.name();
                        return Err(LaunchError::Prepare(format!("expected the return of execve, found {found}")));
                    }
                }
            }
            Event::Dead(status) => {
                return Err(match child.failure() {
                    Some((Step::Exec, errno)) => LaunchError::Exec(exec_failure(errno)),
                    Some((Step::TrapClock, errno)) => prepare("prctl(PR_SET_TSC)", errno),
                    Some((Step::Filter, errno)) => prepare("seccomp(SECCOMP_SET_MODE_FILTER)", errno),
                    None => {
                        LaunchError::Exec(format!("it was killed while it was loaded ({})", Event::Dead(status).name()))
                    }
                });
            }
        };
    }
}

/// What the errno of execve(2) says about a program that is there.
fn exec_failure(errno: Errno) -> String {
    match errno {
        Errno::ENOENT => "the loader (ELF interpreter) that it names does not exist".into(),
        Errno::EACCES => {
            "permission denied: by its mode, by a directory above it, or by a file system mounted noexec".into()
        }
        Errno::ENOEXEC => "its format is not one that this kernel executes".into(),
        other => other.desc().into(),
    }
}

/// Does for the program that a server has become what [`launch`] does for the first one. The process stands at the return of its
/// execve(2).
///
/// # Errors
/// When it is gone or has no room.
pub fn enter(stopped: Stopped, shared: &Shared) -> Result<Stopped, LaunchError> {
    prepare(stopped, shared, None)
}

/// Hides the vDSO, puts ftrun's page in. `fd` is the number that the process has of the shared memory, if it has one.
fn prepare(stopped: Stopped, shared: &Shared, fd: Option<u64>) -> Result<Stopped, LaunchError> {
    hide_vdso(&stopped)?;
    let regs = stopped.registers()?;
    // The program's own first bytes serve as the first place for a system call.
    let original =
        stopped.bytes(regs.rip, inject::CODE.len()).map_err(|e| LaunchError::Prepare(format!("its entry: {e}")))?;
    stopped.write(regs.rip, &inject::CODE)?;
    let session = Session::begin_at(stopped, regs, regs.rip);
    let fixed = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
    let protection = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    let (mut session, _) = session.call(nr::MMAP.into(), [inject::PAGE, 0x1000, protection, fixed, u64::MAX, 0])?;
    session.process().write(regs.rip, &original)?;
    session.process().write(inject::PAGE, &inject::CODE)?;
    session.use_page();
    session = map_scratch(session)?;
    let (handed, fd) = match fd {
        Some(fd) => (session, fd),
        None => hand::over(session, shared.file().as_fd())?,
    };
    session = map_interceptor(handed, fd)?;
    for area in maps(session.process().pid())? {
        if area.name.starts_with("[vdso") || area.name.starts_with("[vvar") {
            session = session.call(nr::MUNMAP.into(), [area.start, area.end - area.start, 0, 0, 0, 0])?.0;
        }
    }
    let (stopped, _) = session.end()?;
    Ok(stopped)
}

fn map_scratch(session: Session) -> Result<Session, LaunchError> {
    let fixed = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let args = [inject::SCRATCH, inject::SCRATCH_LEN as u64, protection, fixed, u64::MAX, 0];
    Ok(session.call(nr::MMAP.into(), args)?.0)
}

/// The interceptor's code, room for trampolines, and the shared memory, of which the process has a descriptor until now.
fn map_interceptor(mut session: Session, fd: u64) -> Result<Session, LaunchError> {
    let code = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    let own = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE) as u64;
    for (start, len) in [
        (at::CODE, at::CODE_LEN),
        (at::LOW, at::TRAMPOLINES_LEN),
        (at::MIDDLE, at::TRAMPOLINES_LEN),
        (at::HIGH, at::TRAMPOLINES_LEN),
    ] {
        session = session.call(nr::MMAP.into(), [start, len, code, own, u64::MAX, 0])?.0;
    }
    session.process().write(at::CODE, interceptor::code::IMAGE)?;
    let data = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let both = (libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE) as u64;
    let output = at::CONTROL_LEN + at::RING_LEN;
    // What every record passes is there from the beginning: a page fault costs more than many calls.
    let there = libc::MAP_POPULATE as u64;
    for (start, len, offset, populate) in [
        (at::CONTROL, at::CONTROL_LEN, 0, there),
        (at::RING, at::RING_LEN, at::CONTROL_LEN, there),
        (at::RING + at::RING_LEN, at::RING_LEN, at::CONTROL_LEN, 0),
        (at::OUTPUT, at::OUTPUT_LEN, output, 0),
        (at::OUTPUT + at::OUTPUT_LEN, at::OUTPUT_LEN, output, 0),
    ] {
        session = session.call(nr::MMAP.into(), [start, len, data, both | populate, fd, offset])?.0;
    }
    Ok(session.call(nr::CLOSE.into(), [fd, 0, 0, 0, 0, 0])?.0)
}

/// Turns the entry that names the vDSO in the auxiliary vector into one that is ignored: libc then makes real calls.
fn hide_vdso(stopped: &Stopped) -> Result<(), LaunchError> {
    let broken = |e: common::syscall::Fault| LaunchError::Prepare(format!("its initial stack: {e}"));
    let word =
        |at: u64| stopped.bytes(at, 8).map(|b| u64::from_le_bytes(b.try_into().unwrap_or_default())).map_err(broken);
    let mut at = stopped.registers()?.rsp;
    at += 8 * (1 + word(at)? + 1);
    while word(at)? != 0 {
        at += 8;
    }
    at += 8;
    loop {
        match word(at)? {
            0 => return Ok(()),
            AT_SYSINFO_EHDR => stopped.write(at, &AT_IGNORE.to_le_bytes())?,
            _ => {}
        }
        at += 16;
    }
}

/// One line of /proc/PID/maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// PROT_READ, PROT_WRITE, PROT_EXEC.
    pub prot: i32,
    /// MAP_SHARED rather than MAP_PRIVATE.
    pub shared: bool,
    /// Path or name in brackets.
    pub name: String,
}

/// The memory map of a process.
///
/// # Errors
/// When /proc cannot be read.
pub fn maps(pid: i32) -> Result<Vec<Mapping>, LaunchError> {
    let path = format!("/proc/{pid}/maps");
    let text = fs::read_to_string(&path).map_err(|e| LaunchError::Prepare(format!("{path}: {e}")))?;
    text.lines()
        .map(|line| parse_mapping(line).ok_or_else(|| LaunchError::Prepare(format!("{path}: cannot read `{line}`"))))
        .collect()
}

fn parse_mapping(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let perms = fields.next()?.as_bytes();
    let name = fields.nth(3).unwrap_or_default().trim().to_owned();
    let flag = |at: usize, letter: u8, value: i32| if perms.get(at) == Some(&letter) { value } else { 0 };
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        prot: flag(0, b'r', libc::PROT_READ) | flag(1, b'w', libc::PROT_WRITE) | flag(2, b'x', libc::PROT_EXEC),
        shared: perms.get(3) == Some(&b's'),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_maps_is_understood() {
        let line = "7ffff7fc1000-7ffff7fe7000 r-xp 00001000 fe:00 1234                       /usr/lib/ld linux.so";
        let mapping = parse_mapping(line).unwrap();
        assert_eq!((mapping.start, mapping.end), (0x7fff_f7fc_1000, 0x7fff_f7fe_7000));
        assert_eq!(mapping.prot, libc::PROT_READ | libc::PROT_EXEC);
        assert_eq!(mapping.name, "/usr/lib/ld linux.so");
        assert!(!mapping.shared);
    }
}

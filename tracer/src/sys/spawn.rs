//! fork, the preparation of the child, exec.
#![expect(unsafe_code, reason = "fork and what has to happen between fork and exec")]

use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use seccompiler::BpfProgram;

const PR_SET_TSC: i32 = 26;
const PR_TSC_SIGSEGV: usize = 2;

/// What the child becomes. Everything is built before fork: between fork and exec nothing may allocate.
#[derive(Debug)]
pub struct Image {
    /// The program: an open file, or a path.
    pub program: Program,
    /// Arguments, the name first.
    pub argv: Vec<CString>,
    /// Environment, `name=value` each.
    pub envp: Vec<CString>,
    /// The system-call filter.
    pub filter: BpfProgram,
    /// The processor to run on.
    pub cpu: Option<usize>,
    /// Put the child into a session of its own.
    pub new_session: bool,
    /// A descriptor that the program gets, with the same number.
    pub keep: i32,
}

/// Where the program is.
#[derive(Debug)]
pub enum Program {
    /// At a path.
    Path(CString),
    /// In an open file (a memfd).
    File(OwnedFd),
}

/// What a child does between fork and its program; where it fails is told by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// prctl(PR_SET_TSC).
    TrapClock = 1,
    /// seccomp(2).
    Filter = 2,
    /// execve(2).
    Exec = 3,
}

/// A child that waits to be seized; it goes on when `go` is written to, ends when it is closed, and tells by `failed` what fails.
#[derive(Debug)]
pub struct Child {
    /// Its process.
    pub pid: i32,
    /// Write one byte to let it go on.
    pub go: OwnedFd,
    /// A step and an errno come from here if one fails; the end of file otherwise.
    failed: OwnedFd,
}

impl Child {
    /// The step that failed, and why. `None` when none did. To be asked when the child has ended.
    #[must_use]
    pub fn failure(&self) -> Option<(Step, Errno)> {
        let mut report = [0; 8];
        // A report is written in one piece, or not at all.
        if nix::unistd::read(&self.failed, &mut report) != Ok(report.len()) {
            return None;
        }
        let [a, b, c, d, e, f, g, h] = report;
        let step = match i32::from_ne_bytes([a, b, c, d]) {
            1 => Step::TrapClock,
            2 => Step::Filter,
            _ => Step::Exec,
        };
        Some((step, Errno::from_raw(i32::from_ne_bytes([e, f, g, h]))))
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
}

/// Forks a child that waits.
///
/// # Errors
/// When pipes or a process cannot be had.
pub fn fork(image: &Image) -> Result<Child, Errno> {
    let (go_read, go_write) = pipe()?;
    let (failed_read, failed_write) = pipe()?;
    let mut argv: Vec<*const libc::c_char> = image.argv.iter().map(|s| s.as_ptr()).collect();
    argv.push(std::ptr::null());
    let mut envp: Vec<*const libc::c_char> = image.envp.iter().map(|s| s.as_ptr()).collect();
    envp.push(std::ptr::null());
    // SAFETY: the child runs `become_image`, which only makes system calls on memory prepared above, and never returns.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(Errno::last());
    }
    if pid == 0 {
        // SAFETY: this is the child; `argv` and `envp` are null-terminated arrays of pointers into `image`, which lives on.
        unsafe {
            become_image(image, &argv, &envp, [go_read.as_raw_fd(), go_write.as_raw_fd(), failed_write.as_raw_fd()])
        }
    }
    Ok(Child { pid, go: go_write, failed: failed_read })
}

/// # Safety
/// To be called in a fresh child only; the arrays end with a null pointer.
unsafe fn become_image(
    image: &Image,
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
    [go_read, go_write, failed]: [i32; 3],
) -> ! {
    // SAFETY: plain system calls on descriptors and memory that this child owns; nothing allocates, no lock is taken.
    unsafe {
        let fail = |step: Step| -> ! {
            let report = [step as i32, *libc::__errno_location()];
            libc::write(failed, report.as_ptr().cast(), size_of_val(&report));
            libc::_exit(127)
        };
        // The parent's end must be closed here, or its death would not be seen.
        libc::close(go_write);
        let mut byte = 0u8;
        if libc::read(go_read, (&raw mut byte).cast(), 1) != 1 {
            libc::_exit(127);
        }
        if image.new_session {
            libc::setsid();
        }
        libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
        if let Some(cpu) = image.cpu.filter(|&cpu| cpu < libc::CPU_SETSIZE as usize) {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
        }
        for signal in 1..=64 {
            if signal != libc::SIGKILL && signal != libc::SIGSTOP {
                let mut action: libc::sigaction = std::mem::zeroed();
                libc::sigaction(signal, std::ptr::null(), &raw mut action);
                // Rust ignores SIGPIPE for itself; dispositions that the user set to be ignored stay as they are.
                if signal == libc::SIGPIPE || action.sa_sigaction != libc::SIG_IGN {
                    libc::signal(signal, libc::SIG_DFL);
                }
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        if libc::prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) != 0 {
            fail(Step::TrapClock);
        }
        if seccompiler::apply_filter(&image.filter).is_err() {
            fail(Step::Filter);
        }
        libc::fcntl(image.keep, libc::F_SETFD, 0);
        match &image.program {
            Program::Path(path) => libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()),
            Program::File(file) => libc::fexecve(file.as_raw_fd(), argv.as_ptr(), envp.as_ptr()),
        };
        fail(Step::Exec)
    }
}

/// A memory file that holds `bytes`, executable by [`Program::File`].
///
/// # Errors
/// When the kernel has no memory files or no memory.
pub fn memory_file(name: &std::ffi::CStr, bytes: &[u8]) -> Result<OwnedFd, Errno> {
    // SAFETY: a C string and flags; the result is checked before it is owned.
    let fd = Errno::result(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: memfd_create returned a new descriptor that nobody else has.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = nix::unistd::write(&file, rest)?;
        rest = &rest[written..];
    }
    Ok(file)
}

//! The processes that a server starts: they run outside of what is replicated.
//!
//! They inherit the system-call filter, under which a call fails where nobody traces. So each child is followed, with all that
//! it starts, by a thread of its own that answers every stop by letting the process go on. What a child does to the server
//! (exit status, signals, data in pipes) reaches that through its own calls, and is recorded there.
//!
//! A child changes its tracer once: the thread of the recorder stops it at its first instruction and prepares it
//! ([`Newborn::prepare`]), then it sleeps in pause(2) until the follower has it. The parent stands still meanwhile.
//!
//! A child of vfork(2) has memory of its own here. What it has written before it executes a program or ends is what the
//! parent would have found in its memory natively: the follower collects those pages ([`Released`]).

mod mapped;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use common::abi::{self, PAGE};
use common::syscall::{Memory, nr};
use nix::errno::Errno;
use thiserror::Error;

use self::mapped::Said;
pub(crate) use self::mapped::{MappedFile, MappedFiles};
use crate::inject::{InjectError, Session};
use crate::instructions::Sites;
use crate::interceptor;
use crate::interceptor::layout as at;
use crate::launch::{self, LaunchError};
use crate::sys::pidfd::ChildProcess;
use crate::sys::ptrace::{self, Resume};
use crate::tracee::{self, Registers, Stopped, TraceeError};

const PR_SET_TSC: u64 = 26;
const PR_TSC_ENABLE: u64 = 1;

/// Why a child could not be let go.
#[derive(Debug, Error)]
pub enum FamilyError {
    /// It could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// A call inside of it failed.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// Its memory map cannot be read.
    #[error(transparent)]
    Map(#[from] LaunchError),
    /// No thread to follow it.
    #[error("no thread to follow process {pid}: {source}")]
    Thread {
        /// The child.
        pid: i32,
        /// Why.
        source: std::io::Error,
    },
    /// The thread that was to follow it could not.
    #[error("process {pid} cannot be followed: {reason}")]
    Follow {
        /// The child.
        pid: i32,
        /// Why.
        reason: String,
    },
}

/// The pages that a child of vfork(2) has written until it left its parent's memory: address and content.
pub type Released = Vec<(u64, Vec<u8>)>;

/// What a new process must be freed from.
#[derive(Debug, Clone, Copy)]
pub struct Bonds<'a> {
    /// Patched instructions.
    pub sites: &'a Sites,
    /// Ranges of descriptors, first and last, that it must not have.
    pub descriptors: &'a [(u32, u32)],
}

/// A child that stands before its first instruction.
#[derive(Debug)]
pub struct Newborn {
    stopped: Stopped,
    registers: Registers,
    mask: u64,
    unfollowed: Unfollowed,
}

/// A child that is ended unless it comes to be followed.
#[derive(Debug)]
struct Unfollowed(Option<(i32, ChildProcess)>);

impl Unfollowed {
    fn followed(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfollowed {
    fn drop(&mut self) {
        if let Some((pid, child)) = &self.0 {
            child.kill();
            // Where this thread traces it, its parent learns of its end only after that.
            while ptrace::wait_if_own(*pid).is_ok_and(|status| libc::WIFSTOPPED(status)) {}
        }
    }
}

/// A child on its way to its follower.
struct Handed {
    pid: i32,
    registers: Registers,
    mask: u64,
    /// To be told when it leaves its parent's memory.
    release: Option<Sender<Released>>,
    followed: Sender<Result<(), String>>,
}

impl Newborn {
    /// The process `pid`, which the server has just started.
    ///
    /// # Errors
    /// When it is gone.
    pub fn new(pid: i32) -> Result<Self, FamilyError> {
        let child = ChildProcess::open(pid).map_err(|errno| TraceeError::Request { what: "watch", pid, errno })?;
        let unfollowed = Unfollowed(Some((pid, child)));
        let stopped = Stopped::arriving(pid)?;
        let (registers, mask) = (stopped.registers()?, stopped.signal_mask()?);
        Ok(Self { stopped, registers, mask, unfollowed })
    }

    /// Frees it from what ties the server to ftrun: the rings, trapped instructions, shared memory, and `bonds`. Says how many
    /// areas of memory the server believes that it shares with it.
    ///
    /// # Errors
    /// When it is gone, or does not do what it is told.
    pub fn prepare(self, bonds: Bonds<'_>) -> Result<(Self, usize), FamilyError> {
        let Self { stopped, registers, mask, unfollowed } = self;
        stopped.set_signal_mask(u64::MAX)?;
        let mut session = Session::begin(stopped, registers);
        let data = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let own = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED) as u64;
        // All zeros: the interceptor leaves every call to the tracer (`MODE_OUTSIDE`).
        session = session.call(nr::MMAP.into(), [at::CONTROL, at::CONTROL_LEN, data, own, u64::MAX, 0])?.0;
        let rings = at::OUTPUT + 2 * at::OUTPUT_LEN - at::RING;
        session = session.call(nr::MUNMAP.into(), [at::RING, rings, 0, 0, 0, 0])?.0;
        session = session.call(nr::PRCTL.into(), [PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0, 0])?.0;
        // Only the server's addresses must be the same everywhere.
        session = session.call(nr::PERSONALITY.into(), [0; 6])?.0;
        for site in bonds.sites.within(0, u64::MAX) {
            session.process().write(site, &[Sites::ORIGINAL])?;
        }
        for &(first, last) in bonds.descriptors {
            session = session.call(nr::CLOSE_RANGE.into(), [first.into(), last.into(), 0, 0, 0, 0])?.0;
        }
        let mut shared = 0;
        for area in launch::maps(session.process().pid())? {
            let file = area.name.starts_with('/') && area.name != "/dev/zero (deleted)";
            if !area.shared || interceptor::is_own(area.start, area.end) {
                continue;
            }
            if file {
                // See `mapped`.
                let prot = u64::from((area.prot & !libc::PROT_WRITE).cast_unsigned());
                if area.prot & libc::PROT_WRITE != 0 {
                    let args = [area.start, area.end - area.start, prot, 0, 0, 0];
                    session = session.call(nr::MPROTECT.into(), args)?.0;
                }
                continue;
            }
            let bytes = session.process().bytes(area.start, abi::size(area.end - area.start)).unwrap_or_default();
            let prot = u64::from(area.prot.cast_unsigned());
            session = session.call(nr::MMAP.into(), [area.start, area.end - area.start, prot, own, u64::MAX, 0])?.0;
            session.process().write(area.start, &bytes)?;
            shared += 1;
        }
        // Until it is followed it ends with its parent, which ends with ftrun.
        let kill = abi::word(libc::SIGKILL);
        session = session.call(nr::PRCTL.into(), [libc::PR_SET_PDEATHSIG as u64, kill, 0, 0, 0, 0])?.0;
        let (stopped, _) = session.end()?;
        Ok((Self { stopped, registers, mask, unfollowed }, shared))
    }
}

#[derive(Debug, Default)]
struct State {
    living: BTreeMap<i32, ChildProcess>,
    /// Those of them that are about to end by themselves.
    leaving: BTreeSet<i32>,
    closed: bool,
}

/// All processes that a server has started, and that have not ended.
#[derive(Debug, Default)]
pub struct Family {
    state: Arc<Mutex<State>>,
    followers: Vec<JoinHandle<()>>,
    mapped: MappedFiles,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Family {
    /// Lets a child that was prepared go. Where it is one of vfork(2), the receiver is told when it leaves its parent's memory; it hears
    /// nothing more when the child ends by a signal before.
    ///
    /// # Errors
    /// When it is gone or cannot be followed.
    pub fn take(&mut self, child: Newborn, vfork: bool) -> Result<Option<Receiver<Released>>, FamilyError> {
        let Newborn { stopped, registers, mask, unfollowed } = child;
        let pid = stopped.pid();
        self.followers.retain(|follower| !follower.is_finished());
        let (send, handed) = channel::<Handed>();
        let (state, mapped) = (Arc::clone(&self.state), self.mapped.clone());
        let follower = std::thread::Builder::new().name(format!("child {pid}"));
        let follower = follower
            .spawn(move || handed.iter().for_each(|child| follow(child, &state, &mapped)))
            .map_err(|source| FamilyError::Thread { pid, source })?;
        self.followers.push(follower);
        let mut pause = registers;
        // From there a call needs no tracer: see the filter.
        pause.rip = interceptor::code::places().call;
        (pause.rax, pause.orig_rax) = (nr::PAUSE.into(), u64::MAX);
        stopped.set_registers(&pause)?;
        stopped.detach()?;
        let (release, released) = if vfork { Some(channel()).unzip() } else { (None, None) };
        let (followed, answer) = channel();
        let lost = |reason: &str| FamilyError::Follow { pid, reason: reason.to_owned() };
        send.send(Handed { pid, registers, mask, release, followed }).map_err(|_| lost("its thread has ended"))?;
        answer.recv().map_err(|_| lost("its thread has ended"))?.map_err(|reason| lost(&reason))?;
        unfollowed.followed();
        Ok(released)
    }

    /// The files that they must not change.
    pub(crate) fn mapped(&self) -> &MappedFiles {
        &self.mapped
    }

    /// Ends all of them, and says how many lived.
    pub fn end(&mut self) -> usize {
        let mut state = lock(&self.state);
        state.closed = true;
        let lives = |(pid, child): &(&i32, &ChildProcess)| !state.leaving.contains(pid) && !child.has_ended();
        let living = state.living.iter().filter(lives).count();
        state.living.values().for_each(ChildProcess::kill);
        drop(state);
        for follower in self.followers.drain(..) {
            // One that has panicked has let go of its processes all the same: they have ended with it.
            let _ = follower.join();
        }
        living
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.end();
    }
}

/// Takes a child over, and serves it and all that it starts to their ends.
fn follow(child: Handed, state: &Mutex<State>, mapped: &MappedFiles) {
    let Handed { pid, registers, mask, release, followed } = child;
    let taken = (|| -> Result<Stopped, FamilyError> {
        let request = |what: &'static str| move |errno| TraceeError::Request { what, pid, errno };
        ptrace::seize(pid).map_err(request("trace"))?;
        ptrace::interrupt(pid).map_err(request("interrupt"))?;
        let session = Session::begin(Stopped::arriving(pid)?, registers);
        let (session, _) = session.call(nr::PRCTL.into(), [libc::PR_SET_PDEATHSIG as u64, 0, 0, 0, 0, 0])?;
        let (stopped, held) = session.end()?;
        stopped.set_signal_mask(mask)?;
        // Only SIGSTOP comes although it is blocked.
        held.iter().try_for_each(|held| stopped.send(held.signal))?;
        Ok(stopped)
    })();
    let stopped = match taken {
        Ok(stopped) => stopped,
        Err(error) => {
            // Who waits for the answer ends the child.
            let _ = followed.send(Err(error.to_string()));
            return;
        }
    };
    let mut follower = Follower { state, child: pid, release, written: None, mapped, said: Said::default() };
    follower.enter(pid);
    // Who does not wait any more has been ended.
    let _ = followed.send(Ok(()));
    let _ = stopped.resume(Resume::Continue, 0);
    follower.run();
}

struct Follower<'a> {
    state: &'a Mutex<State>,
    child: i32,
    release: Option<Sender<Released>>,
    /// What it had written when it was about to execute a program.
    written: Option<Released>,
    mapped: &'a MappedFiles,
    said: Said,
}

impl Follower<'_> {
    fn enter(&self, pid: i32) {
        let process = match ChildProcess::open(pid) {
            Ok(process) => process,
            // Nobody could end it later.
            Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => {
                crate::say!("process {pid}, which the server has started, is ended: no descriptor is left to watch it");
                // One that has ended meanwhile is what is wanted.
                let _ = ptrace::send(pid, libc::SIGKILL);
                return;
            }
            // A thread of a process that is known.
            Err(_) => return,
        };
        let mut state = lock(self.state);
        if state.closed {
            process.kill();
        }
        state.living.insert(pid, process);
    }

    fn run(&mut self) {
        // Nobody is left when it fails.
        while let Ok((pid, status)) = ptrace::wait_for_any() {
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                let mut state = lock(self.state);
                state.living.remove(&pid);
                state.leaving.remove(&pid);
                drop(state);
                if pid == self.child {
                    self.release = None;
                }
                continue;
            }
            let signal = libc::WSTOPSIG(status);
            let (how, signal) = match status >> 16 {
                0 => {
                    self.said.explain(self.mapped, pid, signal);
                    (Resume::Continue, signal)
                }
                libc::PTRACE_EVENT_STOP if tracee::is_stop(signal) => (Resume::Listen, 0),
                libc::PTRACE_EVENT_STOP => {
                    if !lock(self.state).living.contains_key(&pid) {
                        self.enter(pid);
                    }
                    (Resume::Continue, 0)
                }
                event => {
                    let regs = match event {
                        libc::PTRACE_EVENT_SECCOMP => ptrace::registers(pid).ok(),
                        _ => None,
                    };
                    if let Some(regs) = &regs {
                        self.said.refuse(self.mapped, pid, regs);
                    }
                    let call = regs.and_then(|regs| u16::try_from(regs.orig_rax).ok());
                    if call == Some(nr::EXIT_GROUP) {
                        lock(self.state).leaving.insert(pid);
                    }
                    if pid == self.child && self.release.is_some() {
                        self.look(event, call);
                    }
                    (Resume::Continue, 0)
                }
            };
            // One that was killed meanwhile is met again at its end.
            let _ = ptrace::resume(pid, how, signal);
        }
    }

    /// Whether a child of vfork(2) leaves its parent's memory now, with this event or before this call.
    fn look(&mut self, event: i32, call: Option<u16>) {
        let leaves = match call {
            _ if event == libc::PTRACE_EVENT_EXEC => true,
            Some(nr::EXECVE | nr::EXECVEAT) => {
                self.written = written(self.child);
                false
            }
            Some(nr::EXIT | nr::EXIT_GROUP) => {
                self.written = written(self.child);
                true
            }
            _ => false,
        };
        if leaves && let Some(release) = self.release.take() {
            // Who waited has been ended.
            let _ = release.send(self.written.take().unwrap_or_default());
        }
    }
}

/// The pages of private, writable memory that a forked process does not share with its parent any more.
fn written(pid: i32) -> Option<Released> {
    // pagemap(5 of the kernel's admin guide): present, swapped, mapped by nobody else.
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    const EXCLUSIVE: u64 = 1 << 56;
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).ok()?;
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut pages = Vec::new();
    for area in launch::maps(pid).ok()? {
        if area.shared || area.prot & libc::PROT_WRITE == 0 || interceptor::is_own(area.start, area.end) {
            continue;
        }
        let mut entries = vec![0; abi::size((area.end - area.start) / PAGE * 8)];
        if pagemap.read_exact_at(&mut entries, area.start / PAGE * 8).is_err() {
            continue;
        }
        for (entry, address) in entries.as_chunks::<8>().0.iter().zip((area.start..).step_by(abi::size(PAGE))) {
            let entry = u64::from_le_bytes(*entry);
            if entry & (PRESENT | EXCLUSIVE) == PRESENT | EXCLUSIVE || entry & SWAPPED != 0 {
                let mut page = vec![0; abi::size(PAGE)];
                if memory.read_exact_at(&mut page, address).is_ok() {
                    pages.push((address, page));
                }
            }
        }
    }
    Some(pages)
}

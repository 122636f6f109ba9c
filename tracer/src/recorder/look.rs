//! Looks at the server's memory while it goes on: where a call begins the server is made to fork, and a thread reads its twin.
//!
//! A record announces the look at that point of the log; another one tells what was found, where some later call begins.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::memory::{PAGE, Pages, Scope};
use common::record::{Kind, Record};
use common::syscall::nr;

use super::signal::Ran;
use super::{Recorder, RecordingError};
use crate::inject::Held;
use crate::launch::{self, Mapping};
use crate::memory_check::{self, MemoryCheck};
use crate::signals;
use crate::sys::cpu;
use crate::sys::pidfd::ChildProcess;
use crate::sys::ptrace::Resume;
use crate::tracee::{Call, Event, Registers, Stopped, TraceeError};
use crate::twin::{Twin, Twinned};

/// How much longer than a look the time to the next one is: what it takes is a two-hundredth of all.
const REST: u32 = 200;
/// How much longer than the fork it is: the server stands for a ten-thousandth of all.
const REST_OF_FORK: u32 = 10_000;
/// The least of that.
const LEAST: Duration = Duration::from_millis(500);
/// Bytes of its own that a server may have: a fork stops one that has more for too long.
const MOST: u64 = 1 << 30;
/// How long after one that could not be made.
const AGAIN: Duration = Duration::from_secs(10);

const IDLE: u8 = 0;
const LOOKS: u8 = 1;
const DONE: u8 = 2;

/// What the thread that looks shares with those that take records.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// [`IDLE`], [`LOOKS`], [`DONE`].
    state: AtomicU8,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// `None` where the twin was killed.
    pages: Option<Pages>,
    not_before: Option<Instant>,
}

impl Watch {
    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next call is to begin with a record of memory; `enough` records have come since the last one.
    pub(super) fn is_due(&self, enough: bool) -> bool {
        match self.state.load(Ordering::SeqCst) {
            IDLE => enough && self.found().not_before.is_none_or(|time| Instant::now() >= time),
            LOOKS => false,
            _ => true,
        }
    }

    fn rest(&self, after: Duration) {
        self.found().not_before = Some(Instant::now() + after);
        self.state.store(IDLE, Ordering::SeqCst);
    }

    /// The thread's part; the next look comes no sooner than after `least`, or at once.
    fn look(&self, twin: Twin, least: Option<Duration>) {
        cpu::run_anywhere();
        let start = Instant::now();
        let pages = memory_check::pages_of(twin.pid(), &twin, Scope::Private).ok();
        let mut found = self.found();
        // Of one that was killed nothing can be read.
        found.pages = pages.filter(|_| twin.is_whole());
        drop(twin);
        let rest = least.map_or(Duration::ZERO, |least| least.max(start.elapsed().saturating_mul(REST)));
        found.not_before = Some(Instant::now() + rest);
        self.state.store(DONE, Ordering::SeqCst);
    }
}

/// The looks of one recorder.
#[derive(Debug, Default)]
pub(super) struct Looks {
    pub(super) watch: Arc<Watch>,
    /// The twin that is being read.
    twin: Option<(i32, ChildProcess)>,
}

impl Looks {
    /// The twin, as long as there may be one.
    pub(super) fn twin(&self) -> Option<i32> {
        self.twin.as_ref().map(|(pid, _)| *pid)
    }

    /// Ends the look that is under way: the twin has the server's descriptors.
    pub(super) fn end(&mut self) {
        if let Some((_, twin)) = self.twin.take() {
            twin.kill();
            twin.reap();
        }
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is looked at of a process.
fn areas(pid: i32) -> Result<Vec<Mapping>, RecordingError> {
    let mut areas = launch::maps(pid)?;
    areas.retain(|area| memory_check::is_of(area, Scope::Private));
    Ok(areas)
}

/// Bytes of memory that are there and a process's own.
fn own(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = text.split_ascii_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
    let (resident, of_files) = (pages.next()?, pages.next()?);
    Some(resident.saturating_sub(of_files) * PAGE as u64)
}

impl Recorder<'_> {
    /// Where a call begins: tells what was found, or begins to look, if it is time to. The process stands there again.
    pub(super) fn look(&mut self, stopped: Stopped, regs: &Registers, call: &Call) -> Result<Ran, RecordingError> {
        let leaves = [nr::EXIT, nr::EXIT_GROUP, nr::EXECVE, nr::EXECVEAT].map(u64::from).contains(&call.number);
        if leaves {
            self.looks.end();
        }
        let MemoryCheck::Background { restless, .. } = self.memory_check else { return Ok(Ran::Returned(stopped)) };
        if leaves || !self.journal().check_is_due() {
            return Ok(Ran::Returned(stopped));
        }
        let watch = Arc::clone(&self.looks.watch);
        if watch.state.load(Ordering::SeqCst) == DONE {
            self.looks.twin = None;
            let pages = watch.found().pages.take();
            watch.state.store(IDLE, Ordering::SeqCst);
            if let Some(pages) = pages {
                self.append(&memory_check::record_of(&pages, Scope::Private), "a look at memory")?;
            }
            return Ok(Ran::Returned(stopped));
        }
        if !restless && own(stopped.pid()).is_none_or(|bytes| bytes > MOST) {
            watch.rest(AGAIN);
            return Ok(Ran::Returned(stopped));
        }
        let start = Instant::now();
        let Twinned { stopped, twin, arrived } = Twin::of(stopped, &signals::before_call(regs))?;
        let pid = stopped.pid();
        self.held.extend(arrived);
        let mut event = stopped.run(Resume::Continue, 0)?;
        let stopped = loop {
            event = match event {
                Event::Signal(stopped, signal) => {
                    self.held.push_back(Held { signal, info: stopped.siginfo()? });
                    stopped.run(Resume::Continue, 0)?
                }
                Event::Seccomp(stopped) => break stopped,
                Event::Dead(status) => return Ok(Ran::Dead(status)),
                other => {
                    let found = other.name();
                    return Err(TraceeError::Unexpected { pid, expected: "the same call again", found }.into());
                }
            };
        };
        // What the server has taken out of a fork (madvise(2)) a replica would still have.
        let whole = |twin: &Twin| -> Result<bool, RecordingError> { Ok(areas(pid)? == areas(twin.pid())?) };
        let twin = match twin {
            Ok(twin) if whole(&twin)? => twin,
            _ => {
                watch.rest(AGAIN);
                return Ok(Ran::Returned(stopped));
            }
        };
        let id = twin.pid();
        let Ok(process) = ChildProcess::open(id) else {
            watch.rest(AGAIN);
            return Ok(Ran::Returned(stopped));
        };
        let least = (!restless).then(|| LEAST.max(start.elapsed().saturating_mul(REST_OF_FORK)));
        watch.state.store(LOOKS, Ordering::SeqCst);
        let shared = Arc::clone(&watch);
        let thread = std::thread::Builder::new().name("look".into()).spawn(move || shared.look(twin, least));
        if thread.is_err() {
            // The twin is gone with what was to run.
            watch.rest(AGAIN);
            return Ok(Ran::Returned(stopped));
        }
        self.looks.twin = Some((id, process));
        self.append(&Record::new(Kind::Memory, Scope::Announced as u16, 0), "a look at memory")?;
        Ok(Ran::Returned(stopped))
    }
}

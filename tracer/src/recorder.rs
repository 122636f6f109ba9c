//! The recording loop of the complete layer: every system call, signal and trapped instruction of the server becomes a record.
//!
//! The recorder is the one thread that traces the server. It knows nothing of backups: records go into a [`Sink`], addresses are
//! moved aside by an [`Outside`]. The kernel-state model is applied to each record, as it will be at the backup.

mod call;
mod children;
mod counter;
mod descriptors;
mod error;
mod exec;
mod fs;
mod identity;
mod inside;
mod journal;
mod look;
mod mapped;
mod memory;
mod net;
mod outside;
mod pace;
mod posix_timer;
mod signal;
mod tap;
mod time;
mod vsyscall;
mod writers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use common::kernel::Kernel;
use common::record::{Kind, Record, Segment};
use thiserror::Error;

use self::call::Resumable;
pub(crate) use self::call::{Before, InCall, meta};
use self::counter::Counter;
pub use self::error::RecordingError;
use self::error::{dead, unexpected};
use self::inside::Inside;
use self::journal::Journal;
use self::look::Looks;
pub use self::outside::Outside;
use self::pace::{Pace, Stopper};
use self::tap::Tap;
pub use self::time::offsets as clock_offsets;
pub(crate) use self::writers::InMaps;
use crate::family::Family;
use crate::files::{FileAreas, FileId};
use crate::inject::Held;
use crate::instructions::Sites;
use crate::interceptor::Manner;
use crate::interceptor::patches::Patches;
use crate::interceptor::shared::Shared;
use crate::memory_check::MemoryCheck;
use crate::place::PlaceError;
use crate::sys::alarm::Alarm;
use crate::sys::ptrace::Resume;
use crate::ticks::TickSource;
use crate::tracee::{Event, Registers, Stopped};

/// Where records go.
pub trait Sink {
    /// Takes one record. May wait when the log cannot take more.
    ///
    /// # Errors
    /// When the log is lost and the server must not go on.
    fn append(&mut self, record: &Record) -> Result<(), SinkError>;

    /// Takes encoded records. They are shipped when there is reason to, or after [`Sink::flush`].
    ///
    /// # Errors
    /// As [`Sink::append`].
    fn append_encoded(&mut self, records: &[u8]) -> Result<(), SinkError>;

    /// What was appended is to be shipped now.
    fn flush(&mut self);

    /// Whether somebody waits for what the server puts out.
    fn is_awaited(&self) -> bool;

    /// Whether anybody gets what is appended.
    fn is_kept(&self) -> bool;
}

/// The log cannot be written.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct SinkError(pub String);

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this wait status: the log is complete.
    Ended(i32),
    /// By SIGKILL from outside: to its clients that is the death of a machine.
    Killed,
}

/// Records one server.
pub struct Recorder<'a> {
    /// `None` only while the server runs and the tap has it.
    journal: Option<Box<Journal<'a>>>,
    inside: Option<Inside<'a>>,
    pid: i32,
    sites: Sites,
    /// rdtsc and rdtscp trap everywhere, because this recorder has made them.
    counter_traps: bool,
    file_areas: FileAreas,
    /// How long files that are or were mapped are.
    file_sizes: BTreeMap<FileId, u64>,
    memory_check: MemoryCheck,
    looks: Looks,
    /// Signals taken while the server ran its own code.
    held: VecDeque<Held>,
    /// The call that can be resumed by restart_syscall.
    restart: Option<Resumable>,
    /// Set between the return of a call and the delivery of a signal that is known to be pending there.
    at_exit: Option<signal::AtExit>,
    refused: BTreeSet<String>,
    clock_offset: i64,
    /// Nanoseconds to add to single clocks, so that they do not go back behind what the server has seen.
    clock_offsets: BTreeMap<i32, i64>,
    /// This replica was not the first primary: the server's process has other ids than it knows.
    adopted: bool,
    counter: Counter,
    /// The epoch that the primary acts in, as the pair has it.
    epoch: Option<&'a AtomicU64>,
    /// Ships what is appended, on the thread that calls it.
    shipper: Option<&'a (dyn Fn() + Sync)>,
    /// How long a signal that comes between two calls waits for the second one.
    signal_deadline: Option<Duration>,
    /// What counts how far the server has come since the last record.
    ticks: Option<Box<dyn TickSource>>,
    /// Calls that the interceptor had made when the count began; `None` until it does.
    counted_from: Option<u64>,
    /// How long the server computes before a replica is told how far it has come.
    progress_interval: Option<Duration>,
    pace: Arc<Pace>,
    /// When the first of the held signals has waited long enough.
    due: Option<Instant>,
    /// The processes that the server has started.
    family: Family,
    /// What the start of a process has written into the server's memory, for the record of the call under way.
    born: Vec<Segment>,
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

/// What to do with the process next.
enum Next {
    Go(Stopped, i32),
    /// It has come to this already.
    Event(Event),
    Dead(i32),
}

impl<'a> Recorder<'a> {
    /// A recorder for a process that stands at the point that `kernel` describes.
    #[must_use]
    pub fn new(
        kernel: Kernel,
        sink: &'a mut (dyn Sink + Send),
        outside: Option<&'a mut (dyn Outside + Send)>,
        sites: Sites,
    ) -> Self {
        Self {
            journal: Some(Box::new(Journal::new(kernel, sink, outside))),
            inside: None,
            pid: 0,
            sites,
            counter_traps: false,
            file_areas: FileAreas::default(),
            file_sizes: BTreeMap::new(),
            held: VecDeque::new(),
            restart: None,
            at_exit: None,
            refused: BTreeSet::new(),
            clock_offset: 0,
            clock_offsets: BTreeMap::new(),
            adopted: false,
            counter: Counter::default(),
            epoch: None,
            shipper: None,
            signal_deadline: None,
            ticks: None,
            counted_from: None,
            progress_interval: None,
            pace: Arc::default(),
            due: None,
            family: Family::default(),
            born: Vec::new(),
            memory_check: MemoryCheck::Never,
            looks: Looks::default(),
        }
    }

    /// Lets the interceptor that shares this memory make calls, as `manner` says; `patches` are those that are there already.
    #[must_use]
    pub fn with_interceptor(self, shared: &'a Shared, manner: Manner, patches: Patches) -> Self {
        let inside = Some(Inside::new(shared, manner, patches));
        let Manner { signal_deadline, progress_interval, ticks, memory_check, .. } = manner;
        let mut recorder = Self { inside, signal_deadline, progress_interval, ticks: ticks.source(), ..self };
        recorder.memory_check = memory_check;
        let watch = Arc::clone(&recorder.looks.watch);
        recorder.journal_mut().check(memory_check, watch);
        recorder
    }

    /// What the interceptor records is shipped by this, on the thread that takes it from the ring.
    #[must_use]
    pub fn shipping(self, shipper: &'a (dyn Fn() + Sync)) -> Self {
        Self { shipper: Some(shipper), ..self }
    }

    fn journal(&self) -> &Journal<'a> {
        self.journal.as_deref().expect("the journal is the tracer's while the server stands still")
    }

    fn journal_mut(&mut self) -> &mut Journal<'a> {
        self.journal.as_deref_mut().expect("the journal is the tracer's while the server stands still")
    }

    fn kernel(&self) -> &Kernel {
        &self.journal().kernel
    }

    /// Where to look for the epoch in force: a change becomes a record.
    pub fn follow_epoch(&mut self, epoch: &'a AtomicU64) {
        self.epoch = Some(epoch);
    }

    /// Takes over a process that was replayed here: nothing that the server has seen of time goes back.
    ///
    /// `file_areas` is memory that was mapped from files at the primary and is plain memory here; `clock_offset` are the
    /// nanoseconds to add to the monotonic clocks of this machine.
    pub fn adopt(&mut self, file_areas: FileAreas, clock_offset: i64) {
        self.file_areas = file_areas;
        self.adopted = true;
        self.clock_offset = clock_offset;
        self.clock_offsets = time::offsets(self.kernel(), clock_offset);
        self.counter = Counter::continued(self.kernel().tsc());
    }

    /// The process stands at the return of call `number`: a signal that waits for it is delivered right there.
    pub fn stands_at_return(&mut self, regs: &Registers, number: u64) {
        self.at_exit = Some(signal::AtExit { rip: regs.rip, rsp: regs.rsp, number, temporary: None });
    }

    /// Signals that came while the process was being prepared.
    pub fn hold(&mut self, held: Vec<Held>) {
        self.held.extend(held);
    }

    /// The memory that is mapped from files at the start.
    ///
    /// # Errors
    /// When the process's memory map cannot be read.
    pub fn learn_file_areas(&mut self, pid: i32) -> Result<(), crate::launch::LaunchError> {
        self.file_areas = FileAreas::of(pid)?;
        Ok(())
    }

    /// Records what is already true when recording begins.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn note(&mut self, record: &Record) -> Result<(), RecordingError> {
        self.append(record, "the beginning")
    }

    /// Runs the server to its end.
    ///
    /// # Errors
    /// When it cannot be recorded further. The process is then still there or already gone; the caller ends it.
    pub fn run(mut self, stopped: Stopped, signal: i32) -> Result<Ending, RecordingError> {
        self.pid = stopped.pid();
        self.journal_mut().tell_unprotected();
        self.start_inside();
        self.keep_mapped_files_from_children();
        let tap = self.inside.as_ref().map(|inside| Tap::new(inside.shared, self.shipper));
        let mut alarm = Alarm::new().map_err(|errno| RecordingError::Thread(errno.into()))?;
        let (pace, pid, tracer) = (Arc::clone(&self.pace), self.pid, nix::unistd::gettid().as_raw());
        let shared = self.inside.as_ref().map(|inside| inside.shared);
        std::thread::scope(|scope| {
            let named = |name: &str| std::thread::Builder::new().name(name.into());
            let drain = |tap: &Tap<'a>| {
                crate::sys::cpu::run_anywhere();
                tap.run();
            };
            let watch = |interval: Duration| {
                crate::sys::cpu::run_anywhere();
                pace.run(interval, pid, tracer, shared);
            };
            let started = match &tap {
                Some(tap) => named("tap").spawn_scoped(scope, move || drain(tap)).map(drop),
                None => Ok(()),
            };
            let started = started.and_then(|()| match self.progress_interval {
                Some(interval) => named("pace").spawn_scoped(scope, move || watch(interval)).map(drop),
                None => Ok(()),
            });
            let ended = match started {
                Ok(()) => self.follow(stopped, signal, tap.as_ref(), &mut alarm),
                Err(error) => Err(RecordingError::Thread(error)),
            };
            pace.close();
            tap.iter().for_each(Tap::close);
            self.end_children();
            ended
        })
    }

    fn follow(
        &mut self,
        stopped: Stopped,
        signal: i32,
        tap: Option<&Tap<'a>>,
        alarm: &mut Alarm,
    ) -> Result<Ending, RecordingError> {
        let pid = stopped.pid();
        let mut next = Next::Go(stopped, signal);
        loop {
            let event = match next {
                Next::Go(stopped, signal) => self.go(stopped, signal, tap, alarm)?,
                Next::Event(event) => event,
                Next::Dead(status) => Event::Dead(status),
            };
            next = match event {
                Event::Seccomp(stopped) => self.call(stopped).or_else(|error| dead(pid, error))?,
                Event::Signal(stopped, signal) => self.signal(stopped, signal).or_else(|error| dead(pid, error))?,
                Event::Interrupted(stopped) => self.overdue(stopped).or_else(|error| dead(pid, error))?,
                Event::Dead(status) => return self.ended(status),
                other @ (Event::SyscallExit(_) | Event::Exec(_) | Event::Forked(..)) => {
                    return Err(unexpected(other).into());
                }
            };
        }
    }

    /// Lets the server run until it needs the tracer.
    fn go(
        &mut self,
        stopped: Stopped,
        signal: i32,
        tap: Option<&Tap<'a>>,
        alarm: &mut Alarm,
    ) -> Result<Event, RecordingError> {
        let waits = !self.held.is_empty();
        // The first of them does not wait longer because others come.
        let patience = self.signal_deadline.filter(|_| waits);
        let now = |patience: Duration| Instant::now() + patience.max(pace::worth_a_position(stopped.pid()));
        self.due = patience.map(|patience| self.due.unwrap_or_else(|| now(patience)));
        let failed = |errno: nix::errno::Errno| RecordingError::Thread(errno.into());
        if let Some(due) = self.due {
            alarm.set(due).map_err(failed)?;
        }
        if self.counted_from.is_none()
            && let Some(ticks) = &mut self.ticks
        {
            ticks.restart(&stopped).map_err(PlaceError::from)?;
            self.counted_from = Some(self.inside.as_ref().map_or(0, |inside| inside.shared.calls()));
        }
        self.refresh_counter();
        let pace = Arc::clone(&self.pace);
        let mut stopper = Stopper { alarm, pace: &pace };
        pace.departs();
        let mut run = |ticks: &mut Option<Box<dyn TickSource>>, stopped: Stopped| match ticks {
            Some(ticks) => ticks.run(stopped, signal, Some(&mut stopper)),
            None => stopped.run_until(Resume::Continue, signal, Some(&mut stopper)),
        };
        let event = match tap {
            None => run(&mut self.ticks, stopped),
            Some(tap) => {
                if let Some(inside) = &self.inside {
                    inside.shared.set_pending(waits || self.journal().check_is_due());
                    inside.shared.set_signals(waits);
                }
                self.journal.take().into_iter().for_each(|journal| tap.give(journal));
                let event = run(&mut self.ticks, stopped);
                self.journal = Some(tap.take()?);
                event
            }
        };
        pace.arrives();
        alarm.lift().map_err(failed)?;
        Ok(event?)
    }

    fn ended(&mut self, status: i32) -> Result<Ending, RecordingError> {
        self.looks.end();
        if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL {
            return Ok(Ending::Killed);
        }
        self.append(&Record::new(Kind::End, 0, status.into()), "its end")?;
        Ok(Ending::Ended(status))
    }

    fn append(&mut self, record: &Record, what: &str) -> Result<(), RecordingError> {
        self.counted_from = None;
        self.journal_mut().append(record, what)
    }
}

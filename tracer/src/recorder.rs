//! The recording loop of the complete layer: every system call, signal and trapped instruction of the server becomes a record.
//!
//! The recorder is the one thread that traces the server. It knows nothing of backups: records go into a [`Sink`], addresses are
//! moved aside by an [`Outside`]. The kernel-state model is applied to each record, as it will be at the backup.

mod children;
mod descriptors;
mod exec;
mod fs;
mod identity;
mod inside;
mod journal;
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
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::abi;
use common::digest::Digest;
use common::kernel::{Kernel, ModelError};
use common::memory::Scope;
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::{self, Class, Fault, Gathered, Shape, nr};
use thiserror::Error;

use self::inside::Inside;
use self::journal::Journal;
pub use self::memory::{FileAreas, FileId, Mapped, SharedCopy, Standing, maps_shared_file};
pub use self::outside::Outside;
use self::pace::{Pace, Stopper};
use self::signal::Ran;
use self::tap::Tap;
pub use self::time::offsets as clock_offsets;
use crate::capture::CaptureError;
use crate::family::{Family, FamilyError};
use crate::inject::{self, Held, InjectError};
use crate::instructions::{self, Sites};
use crate::interceptor::Manner;
use crate::interceptor::patches::Patches;
use crate::interceptor::shared::Shared;
use crate::launch::LaunchError;
use crate::memory_check;
use crate::place::PlaceError;
use crate::signals;
use crate::sys::alarm::Alarm;
use crate::sys::ptrace::Resume;
use crate::ticks::{TickError, TickSource};
use crate::tracee::{self, Call, Event, Registers, Stopped, TraceeError, call_of, checked};

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

/// Why recording ended other than by the end of the server.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// The server wants what ftrun cannot replicate.
    #[error("the server called {what}: ftrun replicates one thread of one process; {advice}")]
    Unsupported {
        /// The call.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// A call inside of it failed.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// What it has become could not be prepared.
    #[error("after exec: {0}")]
    Launch(#[from] LaunchError),
    /// What it has become could not be captured.
    #[error("after exec: {0}")]
    Capture(#[from] CaptureError),
    /// Its memory is not what the call made of it.
    #[error("after {call}: {fault}")]
    Memory {
        /// The call.
        call: &'static str,
        /// Where.
        fault: Fault,
    },
    /// The model does not understand what the kernel did: recording on would be a lie.
    #[error("the kernel-state model cannot follow {call}: {error}")]
    Model {
        /// The call.
        call: String,
        /// Why.
        error: ModelError,
    },
    /// The log cannot be written.
    #[error("the log cannot be written: {0}")]
    Sink(#[from] SinkError),
    /// What the interceptor has put into the ring is no record: the server has written into ftrun's memory.
    #[error("the ring of records in the server's memory is damaged: {0}")]
    Ring(common::record::RecordError),
    /// The interceptor ran into memory that is not there, after it had made a call.
    #[error("signal {signal} in the interceptor at {rip:#x}, between a call and its record")]
    Inside {
        /// SIGSEGV or SIGBUS.
        signal: i32,
        /// Where.
        rip: u64,
    },
    /// A thread of the recorder cannot be started, or the process not be found.
    #[error("the threads that record the server cannot be started: {0}")]
    Thread(std::io::Error),
    /// A signal cannot be placed.
    #[error("a signal cannot be placed: {0}")]
    Place(#[from] PlaceError),
    /// A process that it has started cannot be let go.
    #[error("a process that the server has started: {0}")]
    Family(#[from] FamilyError),
    /// The thread that takes records from the ring has failed before.
    #[error("the ring of records in the server's memory was given up before")]
    Lost,
}

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
    file_areas: FileAreas,
    /// How long files that are or were mapped are.
    file_sizes: BTreeMap<FileId, u64>,
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
    /// Added to the counter that rdtsc reads.
    tsc_offset: u64,
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

/// A call that was interrupted and will go on by restart_syscall.
struct Resumable {
    shape: &'static Shape,
    args: [u64; 6],
    /// What stood where it tells the time left when it is interrupted: only a handler gets to see that.
    before: Vec<(u64, Vec<u8>)>,
}

/// A call on its way through the recorder.
pub(crate) struct InCall {
    shape: &'static Shape,
    call: Call,
    gathered: Gathered,
    /// Segments beyond those that the shape tells of.
    extra: Vec<Segment>,
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
            file_areas: FileAreas::default(),
            file_sizes: BTreeMap::new(),
            held: VecDeque::new(),
            restart: None,
            at_exit: None,
            refused: BTreeSet::new(),
            clock_offset: 0,
            clock_offsets: BTreeMap::new(),
            adopted: false,
            tsc_offset: 0,
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
        }
    }

    /// Lets the interceptor that shares this memory make calls, as `manner` says; `patches` are those that are there already.
    #[must_use]
    pub fn with_interceptor(self, shared: &'a Shared, manner: Manner, patches: Patches) -> Self {
        let inside = Some(Inside::new(shared, manner, patches));
        let Manner { signal_deadline, progress_interval, ticks, memory_check, .. } = manner;
        let mut recorder = Self { inside, signal_deadline, progress_interval, ticks: ticks.source(), ..self };
        recorder.journal_mut().check_every(memory_check);
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
        self.tsc_offset = self.kernel().tsc().saturating_sub(instructions::tsc());
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

    fn call(&mut self, stopped: Stopped) -> Result<Next, RecordingError> {
        let regs = stopped.registers()?;
        let call = call_of(&regs);
        self.at_exit = None;
        if let Some(epoch) = self.epoch.map(|epoch| epoch.load(Ordering::SeqCst))
            && epoch > self.kernel().epoch().0
        {
            self.append(&Record::new(Kind::Epoch, 0, 0).with_args(&[epoch]), "a new epoch")?;
        }
        self.check_memory(&stopped, &call)?;
        let vsyscall = vsyscall::is_there(&regs);
        self.forget_expiries(&call);
        // There is no instruction to call again with: the next real call is soon enough.
        let stopped = if self.held.is_empty() || vsyscall {
            stopped
        } else {
            match self.make_pending(stopped, &regs)? {
                Ran::Returned(stopped) | Ran::Anew(stopped) => stopped,
                Ran::Dead(status) => return Ok(Next::Dead(status)),
            }
        };
        let shape = match self.shape_of(&call)? {
            Ok(shape) => shape,
            Err(errno) => return self.refuse(stopped, &regs, &call, errno),
        };
        // A resumed call writes where the original one was told to.
        let resumed = self.restart.take().filter(|_| shape.number == nr::RESTART_SYSCALL);
        let (shape, call) = match &resumed {
            Some(original) => {
                for (address, bytes) in &original.before {
                    stopped.write(*address, bytes)?;
                }
                (original.shape, Call { number: call.number, args: original.args })
            }
            None => (shape, call),
        };
        let mut gathered = syscall::at_entry(shape, &call.args, &checked(&regs), &stopped);
        let finished = self.finished_inside();
        if let Some((_, digest)) = finished {
            gathered = gathered.with_digest(digest);
        }
        let mut flow = InCall { shape, call, gathered, extra: Vec::new() };
        if vsyscall {
            let result = vsyscall::answer(&stopped, &flow)?;
            stopped.skip_call(result)?;
            return self.finish(stopped, &regs, flow, result);
        }
        if let Some((result, _)) = finished {
            stopped.skip_call(result)?;
            return self.finish(stopped, &regs, flow, result);
        }
        if let Class::Answer(errno) = shape.class {
            let result = self.answer(&call, errno);
            stopped.skip_call(result)?;
            return self.finish(stopped, &regs, flow, result);
        }
        match shape.number {
            nr::EXIT | nr::EXIT_GROUP => {
                self.record(&stopped, flow, 0)?;
                return Ok(Next::Go(stopped, 0));
            }
            nr::RT_SIGRETURN => return self.sigreturn(stopped, flow),
            nr::EXECVE | nr::EXECVEAT => return self.exec(stopped, &regs, flow),
            _ => {}
        }
        let changed = match self.before(&stopped, &regs, &mut flow)? {
            Before::Answer(result) => {
                stopped.skip_call(result)?;
                return self.finish(stopped, &regs, flow, result);
            }
            Before::Run(changed) => changed,
        };
        if let Some(changed) = &changed {
            stopped.set_registers(changed)?;
        }
        let before = match resumed {
            Some(original) => original.before,
            None => time::times_left(flow.shape, &flow.call.args, &stopped),
        };
        let stopped = match self.run_call(stopped, &regs, &flow)? {
            Ran::Returned(stopped) => stopped,
            Ran::Anew(stopped) => return self.call(stopped),
            Ran::Dead(status) => return Ok(Next::Dead(status)),
        };
        let mut after = stopped.registers()?;
        let mut result = after.rax.cast_signed();
        if changed.is_some() {
            [after.rdi, after.rsi, after.rdx, after.r10, after.r8, after.r9] =
                [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
            after.orig_rax = regs.orig_rax;
            result = self.after_changed(&stopped, &mut flow, result)?;
            after.rax = abi::word(result);
            stopped.set_registers(&after)?;
        }
        let shown = self.shown_id(stopped.pid(), &flow, result);
        if shown != result {
            result = shown;
            after.rax = abi::word(result);
            stopped.set_registers(&after)?;
        }
        self.after(&stopped, &mut flow, result)?;
        if result == signals::RESTART_BLOCK {
            self.restart = Some(Resumable { shape, args: call.args, before });
        }
        self.finish_executed(stopped, flow, result, &after)
    }

    /// Looks at the server's memory where a call begins, if it is time to. Not where the call has been made already, and not
    /// where one goes on that was interrupted: from there a replica could not go live.
    fn check_memory(&mut self, stopped: &Stopped, call: &Call) -> Result<(), RecordingError> {
        let last = [nr::EXIT, nr::EXIT_GROUP].map(u64::from).contains(&call.number);
        let due = self.journal().check_is_due() || last && self.journal().checks_memory();
        let begins = call.number != u64::from(nr::RESTART_SYSCALL)
            && self.inside.as_ref().is_none_or(|inside| !inside.shared.is_finished());
        if due && begins {
            let scope = if last { Scope::Readable } else { Scope::Writable };
            let record = memory_check::record(stopped, self.kernel().signals(), scope)?;
            self.append(&record, "a look at memory")?;
        }
        Ok(())
    }

    /// The shape, or the errno of a refusal.
    fn shape_of(&mut self, call: &Call) -> Result<Result<&'static Shape, i32>, RecordingError> {
        if children::starts_a_thread(call) {
            return Err(RecordingError::Unsupported {
                what: "clone to start a second thread".into(),
                advice: "configure the server to run single-threaded",
            });
        }
        if let Some(what) =
            memory::touches_own_memory(call).or_else(|| self.discards_a_copy(call)).or_else(|| self.moves_a_patch(call))
        {
            return Ok(Err(self.warn(&syscall::Refusal::new(what, libc::EINVAL))));
        }
        if let Some(what) = self.writes_a_used_file(call) {
            return Ok(Err(self.warn(&syscall::Refusal::new(what, libc::EACCES))));
        }
        Ok(syscall::resolve(call.number, &call.args).map_err(|refusal| self.warn(&refusal)))
    }

    fn warn(&mut self, refusal: &syscall::Refusal) -> i32 {
        let text = refusal.to_string();
        if self.refused.insert(text.clone()) {
            crate::say!("{text}");
        }
        refusal.errno
    }

    fn refuse(&mut self, stopped: Stopped, regs: &Registers, call: &Call, errno: i32) -> Result<Next, RecordingError> {
        let result = -i64::from(errno);
        stopped.skip_call(result)?;
        let number = u16::try_from(call.number).unwrap_or(u16::MAX);
        let mut record = Record::new(Kind::Call, number, result).with_args(&call.args);
        record.check = Digest::of_refusal(&checked(regs)).finish();
        self.append(&record, "a refused call")?;
        self.look_for_signals(&stopped, regs, call.number, None)?;
        Ok(Next::Go(stopped, 0))
    }

    /// Records a call that ftrun has answered; the process goes on with that answer.
    fn finish(
        &mut self,
        stopped: Stopped,
        regs: &Registers,
        flow: InCall,
        result: i64,
    ) -> Result<Next, RecordingError> {
        let (number, short) = (flow.call.number, flow.shape.number);
        self.record(&stopped, flow, result)?;
        self.look_for_signals(&stopped, regs, number, None)?;
        if self.at_exit.is_none() {
            self.patch_site(&stopped, regs.rip, short)?;
        }
        Ok(Next::Go(stopped, 0))
    }

    fn finish_executed(
        &mut self,
        stopped: Stopped,
        flow: InCall,
        result: i64,
        after: &Registers,
    ) -> Result<Next, RecordingError> {
        let number = flow.call.number;
        // A call that was not interrupted has put the server's own mask back.
        let interrupted = result == -i64::from(libc::EINTR) || signals::is_restart(result);
        let temporary = interrupted.then(|| signal::temporary_mask(&flow.gathered.inputs, flow.shape.number)).flatten();
        let maps_code = memory::maps_code(&flow.call, result);
        let (shape, short, args) = (flow.shape, flow.shape.number, flow.call.args);
        self.record(&stopped, flow, result)?;
        self.note_outside(&stopped, shape, &args, result)?;
        if let Some((start, len)) = maps_code {
            self.patch(&stopped, start, len)?;
        }
        self.look_for_signals(&stopped, after, number, temporary)?;
        if self.at_exit.is_none() && !signals::is_restart(result) {
            self.patch_site(&stopped, after.rip, short)?;
        }
        Ok(Next::Go(stopped, 0))
    }

    fn record(&mut self, stopped: &Stopped, flow: InCall, result: i64) -> Result<(), RecordingError> {
        let InCall { shape, call, gathered, extra } = flow;
        let memory = |fault| RecordingError::Memory { call: shape.name, fault };
        let record = Record::new(Kind::Call, call.record_number(), result);
        let mut record = record.with_logged(&call.args, shape.logged());
        let (bulk, check) = syscall::at_exit(&gathered, shape, &call.args, result, stopped).map_err(memory)?;
        record.check = check;
        record.segments = syscall::outputs(&gathered, shape, &call.args, result, stopped).map_err(memory)?;
        record.segments.extend(gathered.inputs);
        record.segments.extend(extra);
        if !bulk.is_empty() && self.kernel().carries_data(abi::int(call.args[0])) {
            record.segments.push(Segment { address: 0, role: SegmentRole::Sent, arg: 1, bytes: bulk });
        }
        self.append(&record, shape.name)
    }

    fn fault(shape: &'static Shape) -> impl Fn(Fault) -> RecordingError {
        move |fault| RecordingError::Memory { call: shape.name, fault }
    }
}

/// What is to be done instead of simply executing a call.
#[expect(clippy::large_enum_variant, reason = "it lives for one call, on the stack")]
pub(crate) enum Before {
    /// It runs, with these registers if they differ from the server's.
    Run(Option<Registers>),
    /// It does not run: this is its result.
    Answer(i64),
}

impl Recorder<'_> {
    /// Calls that are not executed as they stand.
    fn before(&mut self, stopped: &Stopped, regs: &Registers, flow: &mut InCall) -> Result<Before, RecordingError> {
        match flow.shape.number {
            nr::BIND | nr::LISTEN | nr::CLOSE | nr::SENDMSG | nr::SENDMMSG => self.before_net(stopped, regs, flow),
            nr::SENDFILE => self.before_sendfile(stopped, regs, flow),
            nr::TIMER_CREATE | nr::TIMER_SETTIME | nr::TIMER_GETOVERRUN => self.before_timer(stopped, regs, flow),
            nr::CLOCK_NANOSLEEP | nr::TIMERFD_SETTIME => Ok(Before::Run(self.real_deadline(stopped, regs, flow)?)),
            nr::CLONE | nr::FORK | nr::VFORK => Ok(Before::Run(children::with_own_memory(regs, &flow.call))),
            _ => Ok(match self.of_killed_child(stopped, flow) {
                Some(answer) => answer,
                None => self.with_real_ids(stopped, regs, flow),
            }),
        }
    }

    /// What has to be put right, or learnt, after a call has executed.
    fn after(&mut self, stopped: &Stopped, flow: &mut InCall, result: i64) -> Result<(), RecordingError> {
        match flow.shape.number {
            nr::BIND | nr::LISTEN | nr::ACCEPT | nr::ACCEPT4 | nr::CONNECT => self.after_net(stopped, flow, result),
            nr::GETSOCKNAME | nr::GETPEERNAME | nr::GETSOCKOPT => self.after_net(stopped, flow, result),
            nr::MMAP | nr::MUNMAP | nr::MREMAP | nr::MADVISE | nr::MPROTECT => self.after_memory(stopped, flow, result),
            nr::WRITE | nr::WRITEV | nr::PWRITE64 | nr::PWRITEV | nr::PWRITEV2 | nr::SENDFILE => {
                self.after_file_change(stopped, flow, result);
                Ok(())
            }
            nr::COPY_FILE_RANGE | nr::FTRUNCATE | nr::FALLOCATE | nr::TRUNCATE => {
                self.after_file_change(stopped, flow, result);
                Ok(())
            }
            nr::OPEN | nr::OPENAT | nr::OPENAT2 | nr::CREAT if result >= 0 => {
                self.path_of(stopped.pid(), &format!("fd/{result}"), flow);
                self.after_truncating_open(stopped, flow, result);
                Ok(())
            }
            nr::CHDIR | nr::FCHDIR | nr::CHROOT if result == 0 => {
                self.path_of(stopped.pid(), "cwd", flow);
                Ok(())
            }
            nr::INOTIFY_ADD_WATCH if result >= 0 => {
                self.watched_path(flow);
                Ok(())
            }
            // With EFAULT they may have been set: what was before could not be written.
            nr::SETITIMER | nr::ALARM | nr::TIMERFD_SETTIME if result >= 0 || result == -i64::from(libc::EFAULT) => {
                self.note_time(flow);
                Ok(())
            }
            // It is set though what it was before cannot be written.
            nr::TIMER_SETTIME if result >= 0 || result == -i64::from(libc::EFAULT) => {
                self.note_time(flow);
                Ok(())
            }
            nr::CLOCK_GETTIME if result == 0 => self.shift_clock(stopped, flow),
            nr::CLONE | nr::FORK | nr::VFORK => {
                flow.extra.append(&mut self.born);
                Ok(())
            }
            nr::READ if result > 0 => self.show_senders(stopped, flow, result),
            nr::RT_SIGTIMEDWAIT if result > 0 => self.show_sender(stopped, flow),
            nr::FCNTL if result == 0 => self.show_owner(stopped, flow),
            _ => Ok(()),
        }
    }

    /// After a call that ran with changed registers: what it left in the scratch area.
    fn after_changed(&mut self, stopped: &Stopped, flow: &mut InCall, result: i64) -> Result<i64, RecordingError> {
        let result =
            if flow.shape.number == nr::SENDFILE { self.after_sendfile(stopped, flow, result)? } else { result };
        stopped.write(inject::SCRATCH, &vec![0; inject::SCRATCH_LEN])?;
        Ok(result)
    }
}

pub(crate) fn meta(role: SegmentRole, bytes: Vec<u8>) -> Segment {
    Segment { address: 0, role, arg: 0, bytes }
}

/// A process can be killed at any moment: whatever fails then fails because it is dead.
fn dead(pid: i32, error: RecordingError) -> Result<Next, RecordingError> {
    if let Some(&TraceeError::Gone { status, .. }) = of_process(&error) {
        return Ok(Next::Dead(status));
    }
    match error {
        // What the record lacks could not be learnt any more.
        RecordingError::Model { .. }
        | RecordingError::Memory { .. }
        | RecordingError::Place(_)
        | RecordingError::Launch(_)
        | RecordingError::Capture(_)
        | RecordingError::Tracee(TraceeError::Memory { .. })
        | RecordingError::Inject(InjectError::Tracee(TraceeError::Memory { .. }))
            if tracee::has_no_memory(pid) =>
        {
            Ok(Next::Dead(crate::sys::ptrace::wait(pid).map_err(|_| error)?))
        }
        other => Err(other),
    }
}

/// What was wrong with the process, wherever it was found.
fn of_process(error: &RecordingError) -> Option<&TraceeError> {
    let of_launch = |error| match error {
        &LaunchError::Tracee(ref error) | &LaunchError::Inject(InjectError::Tracee(ref error)) => Some(error),
        _ => None,
    };
    match error {
        RecordingError::Tracee(error)
        | RecordingError::Inject(InjectError::Tracee(error))
        | RecordingError::Capture(CaptureError::Tracee(error) | CaptureError::Inject(InjectError::Tracee(error)))
        | RecordingError::Place(
            PlaceError::Tracee(error)
            | PlaceError::Inject(InjectError::Tracee(error))
            | PlaceError::Ticks(TickError::Tracee(error)),
        ) => Some(error),
        RecordingError::Launch(error)
        | RecordingError::Capture(CaptureError::Map(error))
        | RecordingError::Place(PlaceError::Map(error)) => of_launch(error),
        _ => None,
    }
}

fn unexpected(found: Event) -> TraceeError {
    TraceeError::Unexpected { pid: 0, expected: "a system call or a signal", found: found.name() }
}

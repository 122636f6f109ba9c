//! The recording loop of the complete layer: every system call, signal and trapped instruction of the server becomes a record.
//!
//! The recorder is the one thread that traces the server. It knows nothing of backups: records go into a [`Sink`], addresses are
//! moved aside by an [`Outside`]. The kernel-state model is applied to each record, as it will be at the backup.

mod memory;
mod net;
mod outside;
mod signal;

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use common::kernel::{Kernel, ModelError};
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::{self, Class, Fault, Gathered, Memory, Shape, nr};
use thiserror::Error;

pub use self::memory::FileAreas;
pub use self::outside::Outside;
use crate::inject::{self, Held, InjectError};
use crate::instructions::{self, Sites};
use crate::signals;
use crate::sys::ptrace::Resume;
use crate::tracee::{Call, Event, Registers, Stopped, TraceeError, call_of};

/// Where records go.
pub trait Sink {
    /// Takes one record. May wait when the log cannot take more.
    ///
    /// # Errors
    /// When the log is lost and the server must not go on.
    fn append(&mut self, record: &Record) -> Result<(), SinkError>;
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
    kernel: Kernel,
    sink: &'a mut dyn Sink,
    outside: Option<&'a mut dyn Outside>,
    sites: Sites,
    file_areas: FileAreas,
    /// Copies of what was mapped from files before this replica went live.
    copied_areas: FileAreas,
    /// Signals taken while the server ran its own code.
    held: VecDeque<Held>,
    /// Held signals that were given back to the kernel because they could not be delivered at once.
    resent: Vec<Held>,
    /// The call that can be resumed by restart_syscall.
    restart: Option<(&'static Shape, Call)>,
    /// Set between the return of a call and the delivery of a signal that is known to be pending there.
    at_exit: Option<signal::AtExit>,
    refused: BTreeSet<String>,
    clock_offset: i64,
    /// Added to the counter that rdtsc reads.
    tsc_offset: u64,
    /// The epoch that the primary acts in, as the pair has it.
    epoch: Option<&'a AtomicU64>,
}

impl std::fmt::Debug for Recorder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

/// What to do with the process next.
enum Next {
    Go(Stopped, i32),
    Dead(i32),
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
    pub fn new(kernel: Kernel, sink: &'a mut dyn Sink, outside: Option<&'a mut dyn Outside>, sites: Sites) -> Self {
        Self {
            kernel,
            sink,
            outside,
            sites,
            file_areas: FileAreas::default(),
            copied_areas: FileAreas::default(),
            held: VecDeque::new(),
            resent: Vec::new(),
            restart: None,
            at_exit: None,
            refused: BTreeSet::new(),
            clock_offset: 0,
            tsc_offset: 0,
            epoch: None,
        }
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
        self.copied_areas = file_areas;
        self.clock_offset = clock_offset;
        self.tsc_offset = self.kernel.tsc().saturating_sub(instructions::tsc());
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
        let mut next = Next::Go(stopped, signal);
        loop {
            let event = match next {
                Next::Go(stopped, signal) => stopped.run(Resume::Continue, signal)?,
                Next::Dead(status) => Event::Dead(status),
            };
            next = match event {
                Event::Seccomp(stopped) => match self.call(stopped) {
                    Err(RecordingError::Tracee(TraceeError::Gone { status, .. })) => Next::Dead(status),
                    other => other?,
                },
                Event::Signal(stopped, signal) => match self.signal(stopped, signal) {
                    Err(RecordingError::Tracee(TraceeError::Gone { status, .. })) => Next::Dead(status),
                    other => other?,
                },
                Event::GroupStop(stopped) => match stopped.run(Resume::Listen, 0)? {
                    Event::GroupStop(stopped) | Event::Signal(stopped, _) => Next::Go(stopped, 0),
                    Event::Dead(status) => Next::Dead(status),
                    other => return Err(unexpected(other).into()),
                },
                Event::Dead(status) => return self.ended(status),
                other @ (Event::SyscallExit(_) | Event::Exec(_)) => return Err(unexpected(other).into()),
            };
        }
    }

    fn ended(&mut self, status: i32) -> Result<Ending, RecordingError> {
        if libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL {
            return Ok(Ending::Killed);
        }
        self.append(&Record::new(Kind::End, 0, status.into()), "its end")?;
        Ok(Ending::Ended(status))
    }

    fn append(&mut self, record: &Record, what: &str) -> Result<(), RecordingError> {
        self.kernel.apply(record).map_err(|error| RecordingError::Model { call: what.into(), error })?;
        for progress in self.kernel.take_progress() {
            // Who needs to know of closed connections learns it from the log.
            if progress.closed {
                self.kernel.forget(progress.conn);
            }
        }
        let ended = self.kernel.take_unlistened();
        if let Some(outside) = self.outside.as_deref_mut() {
            ended.into_iter().for_each(|id| outside.unlisten(id));
        }
        self.sink.append(record)?;
        Ok(())
    }

    fn call(&mut self, stopped: Stopped) -> Result<Next, RecordingError> {
        let regs = stopped.registers()?;
        let call = call_of(&regs);
        self.at_exit = None;
        if let Some(epoch) = self.epoch.map(|epoch| epoch.load(Ordering::SeqCst))
            && epoch > self.kernel.epoch().0
        {
            let mut record = Record::new(Kind::Epoch, 0, 0);
            record.args = vec![epoch];
            self.append(&record, "a new epoch")?;
        }
        if !self.held.is_empty() {
            return self.deliver_at_entry(stopped, &regs, &call);
        }
        let shape = match self.shape_of(&call)? {
            Ok(shape) => shape,
            Err(errno) => return self.refuse(stopped, &call, errno),
        };
        // A resumed call writes where the original one was told to.
        let (shape, call) = match self.restart {
            Some((original, args)) if shape.number == nr::RESTART_SYSCALL => {
                (original, Call { number: call.number, args: args.args })
            }
            _ => (shape, call),
        };
        let gathered = syscall::at_entry(shape, &call.args, &stopped);
        let mut flow = InCall { shape, call, gathered, extra: Vec::new() };
        if let Class::Answer(errno) = shape.class {
            let result = self.answer(&call, errno);
            stopped.skip_call(result)?;
            return self.finish(stopped, flow, result);
        }
        match shape.number {
            nr::EXIT | nr::EXIT_GROUP => {
                self.record(&stopped, flow, 0)?;
                return Ok(Next::Go(stopped, 0));
            }
            nr::RT_SIGRETURN => return self.sigreturn(stopped, flow),
            _ => {}
        }
        let changed = match self.before(&stopped, &regs, &mut flow)? {
            Before::Answer(result) => {
                stopped.skip_call(result)?;
                return self.finish(stopped, flow, result);
            }
            Before::Run(changed) => changed,
        };
        if let Some(changed) = &changed {
            stopped.set_registers(changed)?;
        }
        let pid = stopped.pid();
        let stopped = match stopped.run(Resume::ToSyscallExit, 0)? {
            Event::SyscallExit(stopped) => stopped,
            Event::Dead(status) => return Ok(Next::Dead(status)),
            other => {
                let found = other.name();
                return Err(TraceeError::Unexpected { pid, expected: "the return of a system call", found }.into());
            }
        };
        let mut after = stopped.registers()?;
        let mut result = after.rax as i64;
        if changed.is_some() {
            [after.rdi, after.rsi, after.rdx, after.r10, after.r8, after.r9] =
                [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
            result = self.after_changed(&stopped, &mut flow, result)?;
            after.rax = result as u64;
            stopped.set_registers(&after)?;
        }
        self.after(&stopped, &mut flow, result)?;
        self.restart = match result {
            signals::RESTART_BLOCK if shape.number != nr::RESTART_SYSCALL => Some((shape, call)),
            signals::RESTART_BLOCK => self.restart,
            _ => None,
        };
        self.finish_executed(stopped, flow, result, &after)
    }

    /// The shape, or the errno of a refusal.
    fn shape_of(&mut self, call: &Call) -> Result<Result<&'static Shape, i32>, RecordingError> {
        let number = u16::try_from(call.number).unwrap_or(u16::MAX);
        let thread = number == nr::CLONE && call.args[0] & (libc::CLONE_THREAD | libc::CLONE_VM) as u64 != 0;
        if thread && call.args[0] & libc::CLONE_VFORK as u64 == 0 {
            return Err(RecordingError::Unsupported {
                what: "clone to start a second thread".into(),
                advice: "configure the server to run single-threaded",
            });
        }
        if let Some(what) = memory::touches_own_page(call).or_else(|| self.discards_a_copy(call)) {
            return Ok(Err(self.warn(&syscall::Refusal::new(what, libc::EINVAL))));
        }
        Ok(syscall::resolve(call.number, &call.args).map_err(|refusal| self.warn(&refusal)))
    }

    fn warn(&mut self, refusal: &syscall::Refusal) -> i32 {
        let text = refusal.to_string();
        if self.refused.insert(text.clone()) {
            eprintln!("ftrun: {text}");
        }
        refusal.errno
    }

    fn refuse(&mut self, stopped: Stopped, call: &Call, errno: i32) -> Result<Next, RecordingError> {
        let result = -i64::from(errno);
        stopped.skip_call(result)?;
        let number = u16::try_from(call.number).unwrap_or(u16::MAX);
        let mut record = Record::new(Kind::Call, number, result);
        record.args = call.args.to_vec();
        self.append(&record, "a refused call")?;
        Ok(Next::Go(stopped, 0))
    }

    fn answer(&self, call: &Call, errno: i32) -> i64 {
        match u16::try_from(call.number) {
            Ok(nr::GETPID | nr::GETTID) => self.kernel.identity().pid.into(),
            _ => -i64::from(errno),
        }
    }

    /// Records a call that ftrun has answered; the process goes on with that answer.
    fn finish(&mut self, stopped: Stopped, flow: InCall, result: i64) -> Result<Next, RecordingError> {
        self.record(&stopped, flow, result)?;
        Ok(Next::Go(stopped, 0))
    }

    fn finish_executed(
        &mut self,
        stopped: Stopped,
        flow: InCall,
        result: i64,
        after: &Registers,
    ) -> Result<Next, RecordingError> {
        let (number, temporary) = (flow.call.number, signal::temporary_mask(&flow.gathered.inputs, flow.shape.number));
        let maps_code = memory::maps_code(&flow.call, result);
        let shape = flow.shape;
        self.record(&stopped, flow, result)?;
        if let Some((start, len)) = maps_code {
            self.patch(&stopped, start, len)?;
        }
        if signal::may_be_pending(shape.number, result) && signal::is_pending(stopped.pid()) {
            self.at_exit = Some(signal::AtExit { rip: after.rip, rsp: after.rsp, number, temporary });
        }
        Ok(Next::Go(stopped, 0))
    }

    fn record(&mut self, stopped: &Stopped, flow: InCall, result: i64) -> Result<(), RecordingError> {
        let InCall { shape, call, gathered, extra } = flow;
        let memory = |fault| RecordingError::Memory { call: shape.name, fault };
        let mut record = Record::new(Kind::Call, call.number as u16, result);
        record.args = call.args[..usize::from(shape.nargs)].to_vec();
        let (bulk, check) = syscall::at_exit(&gathered, shape, &call.args, result, stopped).map_err(memory)?;
        record.check = check;
        record.segments = syscall::outputs(&gathered, shape, &call.args, result, stopped).map_err(memory)?;
        record.segments.extend(gathered.inputs);
        record.segments.extend(extra);
        if !bulk.is_empty() && self.kernel.carries_data(call.args[0] as i32) {
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
            nr::KILL | nr::TKILL | nr::TGKILL => Ok(Before::Run(self.real_target(stopped, regs))),
            nr::CLOCK_NANOSLEEP | nr::TIMERFD_SETTIME => Ok(Before::Run(self.real_deadline(stopped, regs, flow)?)),
            _ => Ok(Before::Run(None)),
        }
    }

    /// What has to be put right, or learnt, after a call has executed.
    fn after(&mut self, stopped: &Stopped, flow: &mut InCall, result: i64) -> Result<(), RecordingError> {
        match flow.shape.number {
            nr::BIND | nr::LISTEN | nr::ACCEPT | nr::ACCEPT4 | nr::CONNECT | nr::GETSOCKNAME | nr::GETPEERNAME => {
                self.after_net(stopped, flow, result)
            }
            nr::MMAP | nr::MUNMAP | nr::MREMAP | nr::MADVISE => self.after_memory(stopped, flow, result),
            nr::OPEN | nr::OPENAT | nr::CREAT if result >= 0 => {
                self.path_of(stopped.pid(), &format!("fd/{result}"), flow);
                Ok(())
            }
            nr::CHDIR | nr::FCHDIR | nr::CHROOT if result == 0 => {
                self.path_of(stopped.pid(), "cwd", flow);
                Ok(())
            }
            nr::INOTIFY_ADD_WATCH if result >= 0 => {
                let given = flow.gathered.inputs.first().map(|s| s.bytes.clone()).unwrap_or_default();
                let full = self.kernel.identity().cwd.as_path().join(path_from(&given));
                flow.extra.push(meta(SegmentRole::Path, path_bytes(&full)));
                Ok(())
            }
            nr::SETITIMER | nr::ALARM | nr::TIMERFD_SETTIME if result >= 0 => {
                let now = self.monotonic_now();
                flow.extra.push(meta(SegmentRole::Clock, now.to_le_bytes().to_vec()));
                Ok(())
            }
            nr::CLOCK_GETTIME if result == 0 => self.shift_clock(stopped, flow),
            nr::SET_TID_ADDRESS => {
                let mut regs = stopped.registers()?;
                regs.rax = self.kernel.identity().pid as u64;
                Ok(stopped.set_registers(&regs)?)
            }
            _ => Ok(()),
        }
    }

    fn path_of(&self, pid: i32, link: &str, flow: &mut InCall) {
        if let Ok(path) = std::fs::read_link(format!("/proc/{pid}/{link}")) {
            flow.extra.push(meta(SegmentRole::Path, path_bytes(&path)));
        }
    }

    fn monotonic_now(&self) -> u64 {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
            .map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64);
        now.wrapping_add_signed(self.clock_offset)
    }

    /// Monotonic clocks of another machine go on where the primary's stopped.
    fn shift_clock(&self, stopped: &Stopped, flow: &InCall) -> Result<(), RecordingError> {
        if self.clock_offset == 0 || !is_monotonic(flow.call.args[0] as i32) {
            return Ok(());
        }
        let address = flow.call.args[1];
        let raw = stopped.bytes(address, 16).map_err(Self::fault(flow.shape))?;
        Ok(stopped.write(address, &shifted(&raw, self.clock_offset))?)
    }

    /// A deadline on the server's monotonic clock, as one of this machine's.
    fn real_deadline(
        &self,
        stopped: &Stopped,
        regs: &Registers,
        flow: &InCall,
    ) -> Result<Option<Registers>, RecordingError> {
        let absolute = flow.call.args[1] & 1 != 0;
        let clock = match flow.shape.number {
            nr::CLOCK_NANOSLEEP => flow.call.args[0] as i32,
            _ => libc::CLOCK_MONOTONIC,
        };
        let Some(input) = flow.gathered.inputs.iter().find(|s| s.arg == 2) else { return Ok(None) };
        if self.clock_offset == 0 || !absolute || !is_monotonic(clock) {
            return Ok(None);
        }
        let mut value = input.bytes.clone();
        let at = value.len() - 16;
        if value[at..].iter().any(|&b| b != 0) {
            let moved = shifted(&value[at..], -self.clock_offset);
            value[at..].copy_from_slice(&moved);
        }
        stopped.write(inject::SCRATCH, &value)?;
        let mut regs = *regs;
        regs.rdx = inject::SCRATCH;
        Ok(Some(regs))
    }

    /// The server knows itself by the pid that it had on the first primary.
    fn real_target(&self, stopped: &Stopped, regs: &Registers) -> Option<Registers> {
        let (seen, real) = (self.kernel.identity().pid as u64, stopped.pid() as u64);
        if seen == real {
            return None;
        }
        let mut changed = *regs;
        let translate = |value: u64| if value & 0xffff_ffff == seen { real } else { value };
        changed.rdi = translate(regs.rdi);
        if regs.orig_rax == u64::from(nr::TGKILL) {
            changed.rsi = translate(regs.rsi);
        }
        Some(changed)
    }

    /// After a call that ran with changed registers: what it left in the scratch area.
    fn after_changed(&mut self, stopped: &Stopped, flow: &mut InCall, result: i64) -> Result<i64, RecordingError> {
        let result =
            if flow.shape.number == nr::SENDFILE { self.after_sendfile(stopped, flow, result)? } else { result };
        stopped.write(inject::SCRATCH, &vec![0; inject::SCRATCH_LEN])?;
        Ok(result)
    }
}

fn is_monotonic(clock: i32) -> bool {
    matches!(
        clock,
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_BOOTTIME
    )
}

/// A struct timespec, `nanoseconds` later, not before 0.
fn shifted(raw: &[u8], nanoseconds: i64) -> Vec<u8> {
    let word = |at: usize| raw.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
    let total = (i128::from(word(0)) * 1_000_000_000 + i128::from(word(8)) + i128::from(nanoseconds)).max(1);
    let (seconds, rest) = ((total / 1_000_000_000) as i64, (total % 1_000_000_000) as i64);
    [seconds.to_le_bytes(), rest.to_le_bytes()].concat()
}

pub(crate) fn meta(role: SegmentRole, bytes: Vec<u8>) -> Segment {
    Segment { address: 0, role, arg: 0, bytes }
}

fn path_bytes(path: &std::path::Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

fn path_from(bytes: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt;
    std::path::Path::new(std::ffi::OsStr::from_bytes(bytes))
}

fn unexpected(found: Event) -> TraceeError {
    TraceeError::Unexpected { pid: 0, expected: "a system call or a signal", found: found.name() }
}

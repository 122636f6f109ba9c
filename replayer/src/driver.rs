//! Drives a restored process along the log: it runs from record to record, is compared, and gets the recorded results.
//!
//! The process only moves when the record that says how far is in hand: after a record is applied it stands, and everything
//! up to that record has happened in it. From such a point it can go live. A FAST record promises that nothing but the
//! server's own code comes before its next call, trapped instruction or fault.
//!
//! Where the interceptor takes part, it answers calls by itself while this thread waits for the process to stop; the follower
//! then applies their records to the model ([`crate::progress`]).

mod call;
mod deliver;
mod error;
mod exec;
mod execute;
mod instruction;
mod memory;
mod point;

use std::sync::Arc;

use common::abi;
use common::ids::Lsn;
use common::kernel::Kernel;
use common::memory::Pages;
use common::record::{Kind, Placement, Record};
use common::syscall::{Shape, nr};
use tracer::files::FileAreas;
use tracer::inject;
use tracer::instructions::Sites;
use tracer::interceptor::patches::Patches;
use tracer::interceptor::shared::{Mode, Shared};
use tracer::interceptor::{Manner, code, layout};
use tracer::place::watch::Looks;
use tracer::signals;
use tracer::sys::pidfd::ChildProcess;
use tracer::sys::ptrace::Resume;
use tracer::ticks::TickSource;
use tracer::tracee::{Call, Event, Registers, Stopped, TraceeError, call_of};

use self::call::shown;
pub use self::error::ReplayError;
pub use self::point::Point;
use crate::bell::Bell;
use crate::divergence::{Divergence, describe};
use crate::feed::{Feed, Item, is_between_calls};
use crate::mapped::MappedFiles;
use crate::progress::{Common, Follower, Progress, is_death};
pub use crate::progress::{Next, Outputs, Source};
use crate::restore::Restored;

/// How a replay came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With the server, which has this wait status.
    Ended(i32),
    /// With the log.
    Drained,
}

/// Where the process stands and how it goes on.
#[derive(Debug)]
enum At {
    /// Resume it with this signal (0 for none).
    Ready(Stopped, i32),
    /// It stands at the delivery of a signal, as this record says.
    Delivering(Stopped, Record),
    /// It is in the last call of its life.
    Exiting(Stopped),
    /// It was let go on and has come to this, which the next record must explain.
    Arrived(Event),
    /// It is no more, with this wait status.
    Dead(i32),
    /// It was lost by an error.
    Lost,
}

/// Replays.
#[derive(Debug)]
pub struct Driver {
    at: At,
    common: Arc<Common>,
    /// Where the interceptor takes part.
    _follower: Option<Follower>,
    shared: Arc<Shared>,
    sites: Sites,
    patches: Patches,
    file_areas: FileAreas,
    mapped: MappedFiles,
    /// The call whose restart code is in rax, and the code.
    returned: Option<(u64, i64)>,
    /// The call at whose return the process stands, and its result.
    last_call: Option<(u64, i64)>,
    /// What an interrupted call has overwritten, in case it is made again.
    overwritten: Vec<(u64, Vec<u8>)>,
    /// What restart_syscall resumes.
    restart: Option<(&'static Shape, Call)>,
    /// A signal whose frame found no room: the fault that follows from it is the next record.
    unframed: Option<Record>,
    /// The record before was a position that the process has not stood at: nothing was counted from there.
    passed_over: bool,
    /// Memory where the primary's was looked at, and where that was.
    announced: Option<(Lsn, Pages)>,
    /// What counts on the way to a position.
    ticks: Option<Box<dyn TickSource>>,
    /// How much it took to come to positions.
    looks: Looks,
    /// Up to where the log was applied when this thread last looked.
    lsn: Lsn,
}

impl Driver {
    /// For a process as restored. Threads that it starts run where this thread may run now.
    ///
    /// # Errors
    /// When there is no thread to be had, or the process is gone.
    pub fn new(
        restored: Restored,
        manner: Manner,
        source: Box<dyn Source>,
        bell: Arc<Bell>,
        outputs: Box<dyn Outputs>,
    ) -> Result<Self, ReplayError> {
        let Restored { stopped, kernel, shared, file_areas, lsn } = restored;
        let child = ChildProcess::open(stopped.pid()).map_err(|errno| ReplayError::Follow(errno.into()))?;
        let feed = Feed::new(manner.layer, manner.seed, &shared);
        let fast = feed.is_fast();
        let progress = Progress::new((kernel, lsn), feed, Arc::clone(&shared), source, outputs);
        let common = Arc::new(Common::new(progress, bell, child));
        let follower = if fast { Some(Follower::start(&common).map_err(ReplayError::Follow)?) } else { None };
        shared.set_mode(if fast { Mode::Replay } else { Mode::Outside });
        Ok(Self {
            at: At::Ready(stopped, 0),
            common,
            _follower: follower,
            shared,
            sites: Sites::default(),
            patches: Patches::default(),
            file_areas,
            mapped: MappedFiles::default(),
            returned: None,
            last_call: None,
            overwritten: Vec::new(),
            restart: None,
            unframed: None,
            passed_over: false,
            announced: None,
            ticks: manner.ticks.source(),
            looks: Looks::default(),
            lsn,
        })
    }

    /// A copy of the kernel-state model, where the log is applied up to.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.common.lock().kernel.clone()
    }

    /// What it took to deliver signals between two calls.
    #[must_use]
    pub fn looks(&self) -> Looks {
        self.looks
    }

    /// Its process id, while it lives.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match &self.at {
            At::Ready(stopped, _) | At::Delivering(stopped, _) | At::Exiting(stopped) => Some(stopped.pid()),
            At::Arrived(event) => event.stopped().map(Stopped::pid),
            At::Dead(_) | At::Lost => None,
        }
    }

    /// Follows the log to its end, or to that of the server. The process stands then.
    ///
    /// # Errors
    /// A divergence, or when the process is lost.
    pub fn run(&mut self) -> Result<Outcome, ReplayError> {
        let common = Arc::clone(&self.common);
        loop {
            let seen = common.bell.rung();
            let mut progress = common.lock();
            progress.running = false;
            if let Some(error) = progress.failed.take() {
                return Err(error);
            }
            progress.catch_up()?;
            if progress.lsn != self.lsn {
                // Calls were taken in process: what was about the last one outside is past.
                self.lsn = progress.lsn;
                self.last_call = None;
                self.restart = None;
                self.overwritten.clear();
            }
            if progress.forget {
                progress.feed.forget();
            }
            let next = progress.feed.front().map(|item| item.record.kind);
            let stands = matches!(self.at, At::Ready(..) | At::Delivering(..));
            match next {
                None if progress.ended => {
                    let interrupted = std::mem::take(&mut progress.interrupted);
                    drop(progress);
                    self.settle(interrupted)?;
                    return Ok(Outcome::Drained);
                }
                Some(Kind::Call | Kind::Instruction | Kind::Memory | Kind::Exec) if stands => self.go_on(progress)?,
                None => {
                    drop(progress);
                    common.bell.wait(seen, None);
                }
                Some(_) => {
                    if let Some(status) = self.next(&mut progress).map_err(|error| progress.explain(error))? {
                        return Ok(Outcome::Ended(status));
                    }
                }
            }
        }
    }

    /// Lets the process run: to a call that it does not make in process, a trapped instruction, a fault, its end.
    fn go_on(&mut self, progress: std::sync::MutexGuard<'_, Progress>) -> Result<(), ReplayError> {
        let common = Arc::clone(&self.common);
        common.runs(progress);
        let mut event = self.depart()?;
        loop {
            event = match event {
                Event::Signal(stopped, signal) if is_from_outside(&stopped, signal)? => {
                    let interrupted = signal == libc::SIGSTOP && std::mem::take(&mut common.lock().interrupted);
                    let regs = stopped.registers()?;
                    if interrupted && code::contains(regs.rip) && is_held_behind_a_call(&mut common.lock())? {
                        let mut back = code::registers_of(&self.shared.frame(), &regs);
                        back.orig_rax = u64::MAX;
                        stopped.set_registers(&back)?;
                    } else if !interrupted || is_in_interceptor(regs.rip) {
                        event = stopped.run(Resume::Continue, 0)?;
                        continue;
                    }
                    self.at = At::Ready(stopped, 0);
                    self.last_call = None;
                    return Ok(());
                }
                // What the call's arguments point to is not there: no such call is in the log, which the tracer is to find.
                Event::Signal(stopped, signal) if code::contains(stopped.registers()?.rip) => {
                    let mut leave = stopped.registers()?;
                    leave.rip = code::places().abandon;
                    let kernel = self.kernel();
                    let (stopped, _) = signals::undo_forced(stopped, &leave, signal, kernel.signals())?;
                    stopped.run(Resume::Continue, 0)?
                }
                Event::Dead(status) => {
                    self.at = At::Dead(status);
                    return Ok(());
                }
                other => {
                    self.at = At::Arrived(other);
                    return Ok(());
                }
            };
        }
    }

    /// Takes the next record outside: lets the process reach it, compares, and applies it. Says the wait status at the end.
    fn next(&mut self, progress: &mut Progress) -> Result<Option<i32>, ReplayError> {
        let Some(Item { lsn, record, .. }) = progress.feed.pop_front_outside() else { return Ok(None) };
        let at_return = record.kind == Kind::Patch
            || record.kind == Kind::Signal && Placement::from_result(record.result) == Some(Placement::Exit);
        if progress.free && at_return {
            let expected = "a call, a trapped instruction, a fault or the end, after the record before";
            return Err(self.diverged(lsn, &record, expected, describe(&record), None));
        }
        self.unframed = None;
        match record.kind {
            Kind::Call => self.last_call = Some((record.number.into(), record.result)),
            Kind::Patch | Kind::Epoch => {}
            Kind::Signal | Kind::Instruction | Kind::Position | Kind::End | Kind::Memory | Kind::Exec => {
                self.last_call = None;
            }
        }
        let mut passed_over = false;
        match record.kind {
            Kind::Call => self.call(lsn, &record, progress)?,
            Kind::Signal => self.signal(lsn, &record, progress)?,
            Kind::Instruction => self.instruction(lsn, &record, &progress.kernel)?,
            Kind::Exec => self.exec(lsn, &record, &progress.kernel)?,
            Kind::Patch => self.patch(lsn, &record)?,
            Kind::Epoch => {}
            // What comes behind it is known already: the process need not stand here.
            Kind::Position if progress.feed.front().is_some() => passed_over = true,
            Kind::Position => {
                let stopped = self.come_to(lsn, &record, &progress.kernel)?;
                self.at = At::Ready(stopped, 0);
            }
            Kind::Memory => self.memory(lsn, &record)?,
            Kind::End => self.end(lsn, &record, progress.free)?,
        }
        self.passed_over = passed_over;
        let ended = (record.kind == Kind::End).then(|| abi::int_result(record.result));
        progress.applied(lsn, record)?;
        self.lsn = progress.lsn;
        progress.feed.close();
        if ended.is_some() {
            // The source may have something to say about what follows.
            progress.refill();
        }
        progress.report();
        Ok(ended)
    }

    /// Ends the process.
    pub fn kill(self) {
        match self.at {
            At::Ready(stopped, _) | At::Delivering(stopped, _) | At::Exiting(stopped) => put_down(stopped),
            At::Arrived(event) => event.into_stopped().map_or((), put_down),
            At::Dead(_) | At::Lost => {}
        }
    }

    /// What the records before it were is added where they are known.
    fn diverged(
        &self,
        lsn: Lsn,
        record: &Record,
        expected: impl Into<String>,
        found: impl Into<String>,
        registers: Option<Registers>,
    ) -> ReplayError {
        ReplayError::Diverged(Box::new(Divergence {
            lsn,
            what: describe(record),
            expected: expected.into(),
            found: found.into(),
            registers,
            last: Vec::new(),
        }))
    }

    fn take(&mut self) -> At {
        std::mem::replace(&mut self.at, At::Lost)
    }

    /// Lets it go, and waits for the next stop.
    fn depart(&mut self) -> Result<Event, ReplayError> {
        let (stopped, signal) = match self.take() {
            At::Ready(stopped, signal) => (stopped, signal),
            At::Delivering(stopped, delivering) => (stopped, i32::from(delivering.number)),
            At::Exiting(stopped) => (stopped, 0),
            At::Arrived(event) => return Ok(event),
            At::Dead(status) => {
                self.at = At::Dead(status);
                return Ok(Event::Dead(status));
            }
            At::Lost => return Err(ReplayError::Lost),
        };
        if let Some((number, code)) = self.returned.take()
            && signal == 0
        {
            let mut regs = stopped.registers()?;
            regs.rip -= 2;
            regs.rax = if code == signals::RESTART_BLOCK { nr::RESTART_SYSCALL.into() } else { number };
            stopped.set_registers(&regs)?;
        }
        Ok(stopped.run(Resume::Continue, signal)?)
    }

    /// Runs to the next stop. Signals that somebody sent to the replica from outside are not part of the log.
    fn advance(&mut self) -> Result<Event, ReplayError> {
        let mut event = self.depart()?;
        loop {
            event = match event {
                Event::Signal(stopped, signal) if is_from_outside(&stopped, signal)? => {
                    stopped.run(Resume::Continue, 0)?
                }
                other => return Ok(other),
            };
        }
    }

    fn end(&mut self, lsn: Lsn, record: &Record, free: bool) -> Result<(), ReplayError> {
        let status = abi::int_result(record.result);
        // The signal took it in the midst of its own code, wherever that was, or is the one that is being delivered.
        let anywhere = match &self.at {
            At::Ready(_, 0) | At::Delivering(..) => true,
            At::Arrived(_) => free,
            _ => false,
        };
        if is_death(record) && anywhere {
            match self.take() {
                At::Ready(stopped, _) | At::Delivering(stopped, _) => put_down(stopped),
                At::Arrived(event) => event.into_stopped().map_or((), put_down),
                _ => {}
            }
            self.at = At::Dead(status);
            return Ok(());
        }
        match self.advance()? {
            Event::Dead(found) if found == status => {
                self.at = At::Dead(status);
                Ok(())
            }
            other => Err(self.wrong_stop(lsn, record, other)),
        }
    }

    /// Compares the check of a record that is no call.
    fn registers(&self, lsn: Lsn, record: &Record, found: u64, regs: &Registers) -> Result<(), ReplayError> {
        if found == record.check {
            return Ok(());
        }
        let expected = format!("digest {:#018x} of the registers", record.check);
        Err(self.diverged(lsn, record, expected, format!("{found:#018x}"), Some(*regs)))
    }

    fn elsewhere(&self, lsn: Lsn, record: &Record, regs: Registers) -> ReplayError {
        let found = format!("the process at {:#x}", regs.rip);
        self.diverged(lsn, record, describe(record), found, Some(regs))
    }

    fn wrong_stop(&mut self, lsn: Lsn, record: &Record, found: Event) -> ReplayError {
        let name = found.name();
        let regs = match found {
            Event::Seccomp(stopped) | Event::SyscallExit(stopped) | Event::Signal(stopped, _) => {
                let regs = stopped.registers().ok();
                self.at = At::Ready(stopped, 0);
                regs
            }
            _ => None,
        };
        let found = match regs {
            Some(regs) if name == "a system call" => {
                format!("the call {}", shown(&call_of(&regs)))
            }
            _ => name,
        };
        self.diverged(lsn, record, describe(record), found, regs)
    }
}

fn put_down(stopped: Stopped) {
    if stopped.send(libc::SIGKILL).is_ok()
        && let Ok(running) = stopped.resume(Resume::Continue, 0)
    {
        // Its end is all that is waited for; how it came does not matter any more.
        let _ = running.wait();
    }
}

/// Whether the process, which is in the interceptor, waits there at the return of a call for what comes next.
fn is_held_behind_a_call(progress: &mut Progress) -> Result<bool, ReplayError> {
    progress.catch_up()?;
    Ok(progress.free && progress.feed.front().is_some_and(|item| is_between_calls(&item.record)))
}

/// Whether this is code of ftrun's own: the process is within a call then.
fn is_in_interceptor(rip: u64) -> bool {
    let within = |start: u64, len: u64| (start..start + len).contains(&rip);
    within(inject::PAGE, inject::PAGE_END - inject::PAGE)
        || within(layout::CODE, layout::CODE_LEN)
        || [layout::LOW, layout::MIDDLE, layout::HIGH].iter().any(|&at| within(at, layout::TRAMPOLINES_LEN))
}

/// Whether a signal was sent, by a process or a terminal: it is no fault of the replayed program then.
fn is_from_outside(stopped: &Stopped, signal: i32) -> Result<bool, TraceeError> {
    Ok(!signals::is_fault(signal, &stopped.siginfo()?))
}

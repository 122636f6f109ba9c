//! Drives a restored process along the log: it runs from record to record, is compared, and gets the recorded results.
//!
//! The process only moves when the record that says how far is in hand: after a record is applied it stands, and everything
//! up to that record has happened in it. From such a point it can go live.

mod deliver;
mod execute;

use std::collections::VecDeque;

use common::abi;
use common::ids::{ConnId, Lsn};
use common::kernel::{Kernel, Object};
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::{self, Class, Memory, Shape, nr};
use thiserror::Error;
use tracer::inject::InjectError;
use tracer::instructions::{self, Sites};
use tracer::interceptor::patches::Patches;
use tracer::launch::LaunchError;
use tracer::recorder::FileAreas;
use tracer::signals;
use tracer::sys::ptrace::Resume;
use tracer::tracee::{Call, Event, Registers, Stopped, TraceeError, call_of};

use crate::divergence::{Divergence, call_name, describe};

const KEPT_RECORDS: usize = 10;

/// Why a log could not be followed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The process did something else.
    #[error("{0}")]
    Diverged(Box<Divergence>),
    /// The process could not be handled.
    #[error("the replica: {0}")]
    Tracee(#[from] TraceeError),
    /// A call inside of it failed.
    #[error("the replica: {0}")]
    Inject(#[from] InjectError),
    /// Its memory map could not be read.
    #[error("the replica: {0}")]
    Map(#[from] LaunchError),
}

/// Receives what the replayed server writes.
pub trait Outputs {
    /// To a client connection.
    fn produced(&mut self, conn: ConnId, bytes: &[u8]);
    /// To a descriptor that it was started with (1 and 2: standard output and error).
    fn inherited(&mut self, number: i32, bytes: &[u8]);
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
    /// It is no more, with this wait status.
    Dead(i32),
    /// It was lost by an error.
    Lost,
}

/// A process at a record boundary, ready to run on its own.
#[derive(Debug)]
pub struct Point {
    /// The process; its registers are not yet those it goes on with.
    pub stopped: Stopped,
    /// The registers it goes on with.
    pub registers: Registers,
    /// A signal that is to be delivered before anything else.
    pub deliver: Option<Record>,
    /// The call at whose return it stands.
    pub returned_from: Option<u64>,
    /// The kernel state.
    pub kernel: Kernel,
    /// Patched instructions.
    pub sites: Sites,
    /// Memory that holds what a file held, and is not mapped from it.
    pub file_areas: FileAreas,
    /// The end of the log that was applied.
    pub lsn: Lsn,
}

/// Replays.
#[derive(Debug)]
pub struct Driver {
    at: At,
    kernel: Kernel,
    sites: Sites,
    patches: Patches,
    file_areas: FileAreas,
    /// The call whose restart code is in rax, and the code.
    returned: Option<(u64, i64)>,
    /// The call at whose return the process stands, and its result.
    last_call: Option<(u64, i64)>,
    /// What an interrupted call has overwritten, in case it is made again.
    overwritten: Vec<(u64, Vec<u8>)>,
    /// What restart_syscall resumes.
    restart: Option<(&'static Shape, Call)>,
    lsn: Lsn,
    last: VecDeque<(Lsn, String)>,
}

impl Driver {
    /// For a process as restored; `file_areas` is what was mapped from files in it.
    #[must_use]
    pub fn new(stopped: Stopped, kernel: Kernel, file_areas: FileAreas, lsn: Lsn) -> Self {
        Self {
            at: At::Ready(stopped, 0),
            kernel,
            sites: Sites::default(),
            patches: Patches::default(),
            file_areas,
            returned: None,
            last_call: None,
            overwritten: Vec::new(),
            restart: None,
            lsn,
            last: VecDeque::new(),
        }
    }

    /// Up to where the log is applied.
    #[must_use]
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// The kernel-state model there.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Forgets connections that the server has closed and of which the proxy has everything.
    pub fn forget_closed(&mut self, retained: &crate::retained::Retained) {
        let done: Vec<ConnId> = self
            .kernel
            .connections()
            .iter()
            .filter(|progress| progress.closed && retained.has_received(progress.conn, progress.produced))
            .map(|progress| progress.conn)
            .collect();
        for conn in done {
            self.kernel.forget(conn);
            retained.forget(conn);
        }
    }

    /// Its process id, while it lives.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match &self.at {
            At::Ready(stopped, _) | At::Delivering(stopped, _) | At::Exiting(stopped) => Some(stopped.pid()),
            At::Dead(_) | At::Lost => None,
        }
    }

    /// Lets the process reach the record, compares, and applies it.
    ///
    /// # Errors
    /// A divergence, or when the process is lost.
    pub fn apply(&mut self, lsn: Lsn, record: &Record, outputs: &mut dyn Outputs) -> Result<(), ReplayError> {
        match record.kind {
            Kind::Call => self.last_call = Some((record.number.into(), record.result)),
            Kind::Patch | Kind::Epoch => {}
            Kind::Signal | Kind::Instruction | Kind::End => self.last_call = None,
        }
        match record.kind {
            Kind::Call => self.call(lsn, record, outputs)?,
            Kind::Signal => self.signal(lsn, record)?,
            Kind::Instruction => self.instruction(lsn, record)?,
            Kind::Patch => self.patch(record)?,
            Kind::Epoch => {}
            Kind::End => self.end(lsn, record)?,
        }
        if let Err(error) = self.kernel.apply(record) {
            return Err(self.diverged(
                lsn,
                record,
                "a record that the kernel-state model can follow",
                error.to_string(),
                None,
            ));
        }
        self.kernel.take_unlistened();
        self.lsn = lsn.advance(record.encoded_len());
        if self.last.len() == KEPT_RECORDS {
            self.last.pop_front();
        }
        self.last.push_back((lsn, describe(record)));
        Ok(())
    }

    /// Ends replay: the process as it stands. `None` when it is dead.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn into_point(self) -> Result<Option<Point>, ReplayError> {
        let (stopped, deliver, exiting) = match self.at {
            At::Ready(stopped, _) => (stopped, None, false),
            At::Exiting(stopped) => (stopped, None, true),
            At::Delivering(stopped, record) => (stopped, Some(record), false),
            At::Dead(_) | At::Lost => return Ok(None),
        };
        let mut registers = stopped.registers()?;
        if exiting {
            // It stands before the last call of its life, which is made again.
            registers = signals::before_call(&registers);
        }
        let mut returned_from = self.last_call.filter(|_| !exiting).map(|(number, _)| number);
        let again = self.returned.map(|(number, _)| number).or(self.last_call.and_then(interrupted));
        if let (Some(number), None) = (again, &deliver) {
            // The call was interrupted by something that no handler saw: it is made again, from its beginning.
            returned_from = None;
            for (address, before) in &self.overwritten {
                stopped.write(*address, before)?;
            }
            registers.rip -= 2;
            let original = self.restart.filter(|_| number == u64::from(nr::RESTART_SYSCALL));
            registers.rax = original.map_or(number, |(shape, _)| shape.number.into());
        }
        let Self { kernel, sites, file_areas, lsn, .. } = self;
        Ok(Some(Point { stopped, registers, deliver, returned_from, kernel, sites, file_areas, lsn }))
    }

    /// Ends the process.
    pub fn kill(self) {
        if let At::Ready(stopped, _) | At::Delivering(stopped, _) | At::Exiting(stopped) = self.at {
            put_down(stopped);
        }
    }

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
            last: self.last.iter().cloned().collect(),
        }))
    }

    fn take(&mut self) -> At {
        std::mem::replace(&mut self.at, At::Lost)
    }

    /// Runs to the next stop. Signals that somebody sent to the replica from outside are not part of the log.
    fn advance(&mut self, lsn: Lsn, record: &Record) -> Result<Event, ReplayError> {
        let (stopped, signal) = match self.take() {
            At::Ready(stopped, signal) => (stopped, signal),
            At::Delivering(stopped, delivering) => (stopped, i32::from(delivering.number)),
            At::Exiting(stopped) => (stopped, 0),
            At::Dead(status) => {
                self.at = At::Dead(status);
                return Ok(Event::Dead(status));
            }
            At::Lost => return Err(self.diverged(lsn, record, "a process", "none: it was lost before", None)),
        };
        if let Some((number, code)) = self.returned.take()
            && signal == 0
        {
            let mut regs = stopped.registers()?;
            regs.rip -= 2;
            regs.rax = if code == signals::RESTART_BLOCK { nr::RESTART_SYSCALL.into() } else { number };
            stopped.set_registers(&regs)?;
        }
        let mut event = stopped.run(Resume::Continue, signal)?;
        loop {
            event = match event {
                Event::Signal(stopped, signal) if is_from_outside(&stopped, signal)? => {
                    stopped.run(Resume::Continue, 0)?
                }
                other => return Ok(other),
            };
        }
    }

    fn call(&mut self, lsn: Lsn, record: &Record, outputs: &mut dyn Outputs) -> Result<(), ReplayError> {
        let stopped = match self.advance(lsn, record)? {
            Event::Seccomp(stopped) => stopped,
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let regs = stopped.registers()?;
        let mut call = call_of(&regs);
        let other = (0..6).any(|index| record.logged_arg(index).is_some_and(|logged| logged != call.args[index]));
        if call.number != u64::from(record.number) || other {
            return Err(self.diverged(lsn, record, describe(record), format!("the call {}", shown(&call)), Some(regs)));
        }
        let shape = match syscall::resolve(call.number, &call.args) {
            // A refused call has no check: nothing was executed, nothing is compared but the call itself.
            _ if record.check == 0 && record.result < 0 => None,
            Ok(shape) => Some(shape),
            Err(refusal) => {
                return Err(self.diverged(lsn, record, describe(record), refusal.to_string(), Some(regs)));
            }
        };
        let Some(mut shape) = shape else {
            stopped.skip_call(record.result)?;
            self.at = At::Ready(stopped, 0);
            return Ok(());
        };
        if shape.number == nr::RT_SIGRETURN {
            return self.sigreturn(lsn, record, stopped);
        }
        if let Some((original, args)) = self.restart
            && shape.number == nr::RESTART_SYSCALL
        {
            shape = original;
            call.args = args.args;
        }
        let gathered = syscall::at_entry(shape, &call.args, &stopped);
        let logged = || record.segments.iter().filter(|s| s.role == SegmentRole::In);
        let comparable = |s| (Segment::place(s, &call.args), s.arg, s.bytes.as_slice());
        if !gathered.inputs.iter().map(comparable).eq(logged().map(comparable)) {
            let show = |segments: &mut dyn Iterator<Item = &Segment>| {
                let one = |s: &Segment| {
                    let place = s.place(&call.args).map_or_else(|| "nowhere".to_owned(), |at| format!("at {at:#x}"));
                    format!("argument {} {place}: {:?}", s.arg, String::from_utf8_lossy(&s.bytes))
                };
                segments.map(one).collect::<Vec<_>>().join("; ")
            };
            let (expected, found) = (show(&mut logged()), show(&mut gathered.inputs.iter()));
            return Err(self.diverged(lsn, record, expected, found, Some(regs)));
        }
        let stopped = match shape.class {
            Class::Execute if record.result >= 0 || record.result < -4095 => {
                if matches!(shape.number, nr::EXIT | nr::EXIT_GROUP) {
                    self.at = At::Exiting(stopped);
                    return Ok(());
                }
                self.execute(lsn, record, stopped, &regs)?
            }
            _ => {
                stopped.skip_call(record.result)?;
                stopped
            }
        };
        if record.number != nr::RESTART_SYSCALL {
            self.overwritten.clear();
        }
        let interrupted = signals::is_restart(record.result) || record.result == -i64::from(libc::EINTR);
        for segment in record.segments.iter().filter(|s| s.role == SegmentRole::Out) {
            let Some(place) = segment.place(&call.args) else {
                let found = format!("no place for it: the call {}", shown(&call));
                let expected = format!("memory at argument {}", segment.arg);
                return Err(self.diverged(lsn, record, expected, found, Some(regs)));
            };
            let known = self.overwritten.iter().any(|(address, _)| *address == place);
            if interrupted
                && !known
                && let Ok(before) = stopped.bytes(place, segment.bytes.len())
            {
                self.overwritten.push((place, before));
            }
            // What a failed call left is often what was there: memory that cannot be written is not touched.
            let there =
                record.result < 0 && stopped.bytes(place, segment.bytes.len()).is_ok_and(|b| b == segment.bytes);
            if !there {
                stopped.write(place, &segment.bytes)?;
            }
        }
        let (bulk, check) = match syscall::at_exit(&gathered, shape, &call.args, record.result, &stopped) {
            Ok(both) => both,
            Err(fault) => return Err(self.diverged(lsn, record, "readable output", fault.to_string(), Some(regs))),
        };
        if check != record.check {
            let what =
                if shape.recomputed == 0 { "what the call reads" } else { "its other arguments and what it reads" };
            let expected = format!("digest {:#018x} of {what}", record.check);
            let found = format!("{check:#018x} in the call {}", shown(&call));
            return Err(self.diverged(lsn, record, expected, found, Some(regs)));
        }
        self.output(&call, &bulk, record, outputs);
        if signals::is_restart(record.result) {
            self.returned = Some((call.number, record.result));
        }
        self.restart = match record.result {
            signals::RESTART_BLOCK if record.number != nr::RESTART_SYSCALL => Some((shape, call)),
            signals::RESTART_BLOCK => self.restart,
            _ => None,
        };
        self.at = At::Ready(stopped, 0);
        Ok(())
    }

    fn output(&self, call: &Call, bulk: &[u8], record: &Record, outputs: &mut dyn Outputs) {
        let sent = match record.number {
            nr::SENDFILE => record.bytes_of(SegmentRole::Sent).unwrap_or_default(),
            _ => bulk,
        };
        if sent.is_empty() {
            return;
        }
        let fd = abi::int(call.args[0]);
        if let Some(conn) = self.kernel.conn_of_fd(fd) {
            outputs.produced(conn, sent);
        } else if let Some(Object::Inherited(inherited)) = self.kernel.object(fd) {
            outputs.inherited(inherited.number, sent);
        }
    }

    fn instruction(&mut self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        let (stopped, signal) = match self.advance(lsn, record)? {
            Event::Signal(stopped, signal) => (stopped, signal),
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let (regs, info) = (stopped.registers()?, stopped.siginfo()?);
        match instructions::trapped(&stopped, &regs, signal, &info, &self.sites) {
            Some(trapped) if trapped.site == record.arg(0) && trapped.instruction as u16 == record.number => {
                let after = instructions::apply(trapped, record, &regs);
                let (stopped, _) = signals::undo_forced(stopped, &after, signal, self.kernel.signals())?;
                self.at = At::Ready(stopped, 0);
                Ok(())
            }
            _ => Err(self.elsewhere(lsn, record, regs)),
        }
    }

    fn patch(&mut self, record: &Record) -> Result<(), ReplayError> {
        self.patches.learn(record);
        if let At::Ready(stopped, _) = &self.at {
            for segment in &record.segments {
                stopped.write(segment.address, &segment.bytes)?;
            }
            let mut regs = stopped.registers()?;
            if let Some(moved) = self.patches.moved(regs.rip).filter(|_| record.arg(0) != 0) {
                regs.rip = moved;
                stopped.set_registers(&regs)?;
            }
        }
        if record.arg(0) == 0 {
            self.sites.add(record.segments.iter().map(|s| s.address));
        }
        Ok(())
    }

    fn end(&mut self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        let status = abi::int_result(record.result);
        // The signal took it in the midst of its own code, wherever that was, or is the one that is being delivered.
        if libc::WIFSIGNALED(status) && matches!(self.at, At::Ready(_, 0) | At::Delivering(..)) {
            if let At::Ready(stopped, _) | At::Delivering(stopped, _) = self.take() {
                put_down(stopped);
            }
            self.at = At::Dead(status);
            return Ok(());
        }
        match self.advance(lsn, record)? {
            Event::Dead(found) if found == status => {
                self.at = At::Dead(status);
                Ok(())
            }
            other => Err(self.wrong_stop(lsn, record, other)),
        }
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

/// A call that has not been made yet, with all its arguments.
fn shown(call: &Call) -> String {
    let args = syscall::resolve(call.number, &call.args).map_or(6, |shape| usize::from(shape.nargs));
    let args: Vec<String> = call.args[..args].iter().map(|arg| format!("{arg:#x}")).collect();
    let record = Record::new(Kind::Call, call.record_number(), 0).with_args(&call.args);
    format!("{}({})", call_name(&record), args.join(", "))
}

fn put_down(stopped: Stopped) {
    if stopped.send(libc::SIGKILL).is_ok()
        && let Ok(running) = stopped.resume(Resume::Continue, 0)
    {
        // Its end is all that is waited for; how it came does not matter any more.
        let _ = running.wait();
    }
}

/// The call that was interrupted by a signal of which the log does not say any more that it came, if it can be made again.
fn interrupted((number, result): (u64, i64)) -> Option<u64> {
    let done_all_the_same = [nr::CLOSE, nr::CONNECT].iter().any(|&other| number == u64::from(other));
    (result == -i64::from(libc::EINTR) && !done_all_the_same).then_some(number)
}

/// Whether a signal was sent, by a process or a terminal: it is no fault of the replayed program then.
fn is_from_outside(stopped: &Stopped, signal: i32) -> Result<bool, TraceeError> {
    Ok(!signals::is_fault(signal, &stopped.siginfo()?))
}

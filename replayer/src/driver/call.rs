//! A call of the log that the tracer takes: reached, compared in every part, answered.

use common::abi;
use common::digest::Digest;
use common::ids::Lsn;
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::{self, Gathered, Memory, nr};
use tracer::signals;
use tracer::tracee::{Call, Event, Registers, Stopped, call_of, checked};

use super::{At, Driver, ReplayError, execute};
use crate::divergence::{call_name, describe};
use crate::progress::Progress;

impl Driver {
    /// Lets the process come to the call of the record: the number and the logged arguments are the same.
    pub(super) fn arrive(&mut self, lsn: Lsn, record: &Record) -> Result<(Stopped, Registers), ReplayError> {
        let stopped = match self.advance()? {
            Event::Seccomp(stopped) => stopped,
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let regs = stopped.registers()?;
        let call = call_of(&regs);
        let other = (0..6).any(|index| record.logged_arg(index).is_some_and(|logged| logged != call.args[index]));
        if call.number != u64::from(record.number) || other {
            return Err(self.diverged(lsn, record, describe(record), format!("the call {}", shown(&call)), Some(regs)));
        }
        Ok((stopped, regs))
    }

    /// What the call reads must be what stands in the record.
    pub(super) fn same_inputs(
        &self,
        lsn: Lsn,
        record: &Record,
        gathered: &Gathered,
        regs: &Registers,
        call: &Call,
    ) -> Result<(), ReplayError> {
        let logged = || record.segments.iter().filter(|s| s.role == SegmentRole::In);
        let comparable = |s| (Segment::place(s, &call.args), s.arg, s.bytes.as_slice());
        if gathered.inputs.iter().map(comparable).eq(logged().map(comparable)) {
            return Ok(());
        }
        let show = |segments: &mut dyn Iterator<Item = &Segment>| {
            let one = |s: &Segment| {
                let place = s.place(&call.args).map_or_else(|| "nowhere".to_owned(), |at| format!("at {at:#x}"));
                format!("argument {} {place}: {:?}", s.arg, String::from_utf8_lossy(&s.bytes))
            };
            segments.map(one).collect::<Vec<_>>().join("; ")
        };
        let (expected, found) = (show(&mut logged()), show(&mut gathered.inputs.iter()));
        Err(self.diverged(lsn, record, expected, found, Some(*regs)))
    }

    pub(super) fn call(&mut self, lsn: Lsn, record: &Record, progress: &mut Progress) -> Result<(), ReplayError> {
        let (stopped, regs) = self.arrive(lsn, record)?;
        let mut call = call_of(&regs);
        let registers = checked(&regs);
        let refused = Digest::of_refusal(&registers).finish();
        if record.check == refused && record.result < 0 {
            stopped.skip_call(record.result)?;
            self.at = At::Ready(stopped, 0);
            return Ok(());
        }
        let mut shape = match syscall::resolve(call.number, &call.args) {
            Ok(shape) => shape,
            Err(_) => {
                let expected = format!("a refused call, digest {:#018x} of the registers", record.check);
                let found = format!("{refused:#018x} in the call {}", shown(&call));
                return Err(self.diverged(lsn, record, expected, found, Some(regs)));
            }
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
        let gathered = syscall::at_entry(shape, &call.args, &registers, &stopped);
        self.same_inputs(lsn, record, &gathered, &regs, &call)?;
        let stopped = match shape.class {
            class if execute::is_executed(class, record, &stopped, &progress.kernel)? => {
                if matches!(shape.number, nr::EXIT | nr::EXIT_GROUP) {
                    self.compare(lsn, record, (gathered.digest().finish(), &call, &regs))?;
                    self.at = At::Exiting(stopped);
                    return Ok(());
                }
                self.execute(lsn, record, stopped, &regs, &progress.kernel)?
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
        if let Some(state) = self.file_of(lsn, record)?.filter(|_| record.number != nr::MMAP) {
            self.mapped.changed(state)?;
        }
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
                self.mapped.write(&stopped, &self.file_areas, place, &segment.bytes)?;
            }
        }
        let (bulk, check) = match syscall::at_exit(&gathered, shape, &call.args, record.result, &stopped) {
            Ok(both) => both,
            Err(fault) => return Err(self.diverged(lsn, record, "readable output", fault.to_string(), Some(regs))),
        };
        self.compare(lsn, record, (check, &call, &regs))?;
        progress.output(abi::int(call.args[0]), record, &bulk);
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

    fn compare(
        &self,
        lsn: Lsn,
        record: &Record,
        (check, call, regs): (u64, &Call, &Registers),
    ) -> Result<(), ReplayError> {
        if check == record.check {
            return Ok(());
        }
        let expected = format!("digest {:#018x} of the registers and what the call reads", record.check);
        let found = format!("{check:#018x} in the call {}", shown(call));
        Err(self.diverged(lsn, record, expected, found, Some(*regs)))
    }
}

/// A call that has not been made yet, with all its arguments.
pub(super) fn shown(call: &Call) -> String {
    let args = syscall::resolve(call.number, &call.args).map_or(6, |shape| usize::from(shape.nargs));
    let args: Vec<String> = call.args[..args].iter().map(|arg| format!("{arg:#x}")).collect();
    let record = Record::new(Kind::Call, call.record_number(), 0).with_args(&call.args);
    format!("{}({})", call_name(&record), args.join(", "))
}

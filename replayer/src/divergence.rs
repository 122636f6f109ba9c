//! The report of a replica that found itself doing something else than the primary did.

use std::fmt;

use common::ids::Lsn;
use common::record::{Kind, Record, SegmentRole};
use common::syscall;
use tracer::tracee::Registers;

/// Where and how replay differs from the log.
#[derive(Debug, Clone)]
pub struct Divergence {
    /// The record that could not be reproduced.
    pub lsn: Lsn,
    /// What it is.
    pub what: String,
    /// What the log says.
    pub expected: String,
    /// What the process did.
    pub found: String,
    /// Its registers, if it still has some.
    pub registers: Option<Registers>,
    /// The records before, oldest first.
    pub last: Vec<(Lsn, String)>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "divergence at LSN {} in {}", self.lsn, self.what)?;
        writeln!(f, "  expected: {}", self.expected)?;
        writeln!(f, "  found:    {}", self.found)?;
        if let Some(r) = &self.registers {
            writeln!(f, "  rip {:#x} rsp {:#x} rax {:#x} orig_rax {:#x}", r.rip, r.rsp, r.rax, r.orig_rax)?;
            writeln!(
                f,
                "  rdi {:#x} rsi {:#x} rdx {:#x} r10 {:#x} r8 {:#x} r9 {:#x}",
                r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9
            )?;
            writeln!(
                f,
                "  rbx {:#x} rbp {:#x} r12 {:#x} r13 {:#x} r14 {:#x} r15 {:#x}",
                r.rbx, r.rbp, r.r12, r.r13, r.r14, r.r15
            )?;
        }
        writeln!(f, "  the records before it:")?;
        for (lsn, text) in &self.last {
            writeln!(f, "    {lsn}: {text}")?;
        }
        Ok(())
    }
}

/// A record on one line. An argument that it does not hold is `_`.
#[must_use]
pub fn describe(record: &Record) -> String {
    match record.kind {
        Kind::Call => {
            let shown = |index| record.logged_arg(index).map_or_else(|| "_".to_owned(), |arg| format!("{arg:#x}"));
            let args: Vec<String> = (0..arguments(record)).map(shown).collect();
            format!("{}({}) = {}", call_name(record), args.join(", "), record.result)
        }
        Kind::Signal => format!("signal {} at {:#x} (placement {})", record.number, record.arg(2), record.result),
        Kind::Instruction => format!("instruction {} at {:#x}", record.number, record.arg(0)),
        Kind::Position => "a position".into(),
        Kind::Epoch => format!("epoch {}", record.arg(0)),
        Kind::Patch => format!("patch of {} sites", record.segments.len()),
        Kind::Exec => format!("{} of {}", call_name(record), String::from_utf8_lossy(name_of(record))),
        Kind::End => format!("end, wait status {:#x}", record.result),
        Kind::Memory => format!("memory of {} pages", record.result),
    }
}

/// The name that the process has after an exec.
fn name_of(record: &Record) -> &[u8] {
    record.bytes_of(SegmentRole::Path).unwrap_or_default()
}

/// The name of the call that a record is about, with its operation.
#[must_use]
pub fn call_name(record: &Record) -> String {
    match syscall::resolve(record.number.into(), &record.args) {
        Ok(shape) => shape.name.to_owned(),
        Err(refusal) => refusal.what,
    }
}

/// How many arguments the call of a record has, whether the record holds them or not.
#[must_use]
pub fn arguments(record: &Record) -> usize {
    let known = syscall::resolve(record.number.into(), &record.args).map_or(0, |shape| usize::from(shape.nargs));
    known.max(8 - record.logged.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use common::syscall::nr;

    use super::*;

    #[test]
    fn an_argument_that_is_not_logged_is_shown_as_such() {
        let read = Record::new(Kind::Call, nr::READ, 5).with_logged(&[3, 4, 5, 0, 0, 0], 1);
        assert_eq!(describe(&read), "read(0x3, _, _) = 5");
        let resumed = Record::new(Kind::Call, nr::RESTART_SYSCALL, 0).with_logged(&[7; 6], 0b1010);
        assert_eq!(describe(&resumed), "restart_syscall(_, 0x7, _, 0x7) = 0");
        assert_eq!(describe(&Record::new(Kind::Call, nr::GETUID, 0)), "getuid() = 0");
    }
}

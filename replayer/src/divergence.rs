//! The report of a replica that found itself doing something else than the primary did.

use std::fmt;

use common::ids::Lsn;
use common::record::{Kind, Record};
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

/// A record on one line.
#[must_use]
pub fn describe(record: &Record) -> String {
    match record.kind {
        Kind::Call => {
            let args: Vec<String> = record.args.iter().map(|arg| format!("{arg:#x}")).collect();
            format!("{}({}) = {}", call_name(record), args.join(", "), record.result)
        }
        Kind::Signal => format!("signal {} at {:#x} (placement {})", record.number, record.arg(2), record.result),
        Kind::Instruction => format!("instruction {} at {:#x}", record.number, record.arg(0)),
        Kind::Epoch => format!("epoch {}", record.arg(0)),
        Kind::Patch => format!("patch of {} sites", record.segments.len()),
        Kind::End => format!("end, wait status {:#x}", record.result),
    }
}

/// The name of the call that a record is about, with its operation.
#[must_use]
pub fn call_name(record: &Record) -> String {
    let mut args = [0; 6];
    for (to, from) in args.iter_mut().zip(&record.args) {
        *to = *from;
    }
    match syscall::resolve(record.number.into(), &args) {
        Ok(shape) => shape.name.to_owned(),
        Err(refusal) => refusal.what,
    }
}

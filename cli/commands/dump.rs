//! `ftrun dump`: what a recording holds, record by record.

use std::io::{BufWriter, ErrorKind, Write};

use anyhow::{Context, Result};
use common::log::directory::{Entry, Reader};
use common::record::{Kind, SegmentRole};
use replayer::divergence;
use serde_json::json;

use crate::args::Dump;
use crate::exit::Exit;

pub fn run(args: Dump) -> Result<Exit> {
    let mut reader = Reader::open(&args.directory)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut records: u64 = 0;
    for entry in reader.by_ref() {
        let entry = entry?;
        records += 1;
        let line = if args.json { as_json(&entry).to_string() } else { as_text(&entry) };
        match writeln!(out, "{line}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Success),
            other => other?,
        }
    }
    out.flush()?;
    let (log, stored) = (reader.next_lsn().0 - reader.manifest().lsn.0, reader.stored_bytes());
    let last = format!("{records} records, {log} bytes of log in {stored} bytes of frames\n");
    std::io::stderr().write_all(last.as_bytes()).context("the result cannot be written to standard error")?;
    Ok(Exit::Success)
}

fn as_text(entry: &Entry) -> String {
    let mut line = format!("{:>10} {}", entry.lsn, divergence::describe(&entry.record));
    for segment in &entry.record.segments {
        let shown: String =
            String::from_utf8_lossy(&segment.bytes[..segment.bytes.len().min(48)]).escape_debug().collect();
        let place = if segment.address == 0 { String::new() } else { format!(" at {:#x}", segment.address) };
        let (role, arg, length) = (segment.role, segment.arg, segment.bytes.len());
        line += &format!("\n{:>12} {role:?} arg {arg}{place}, {length} bytes: {shown}", "");
    }
    line
}

fn as_json(entry: &Entry) -> serde_json::Value {
    let record = &entry.record;
    let kind = match record.kind {
        Kind::Call => "call",
        Kind::Signal => "signal",
        Kind::Instruction => "instruction",
        Kind::Position => "position",
        Kind::Epoch => "epoch",
        Kind::Patch => "patch",
        Kind::End => "end",
        Kind::Memory => "memory",
        Kind::Exec => "exec",
    };
    let segments: Vec<_> = record
        .segments
        .iter()
        .map(|s| {
            let text = matches!(s.role, SegmentRole::In | SegmentRole::Path).then(|| String::from_utf8_lossy(&s.bytes).into_owned());
            let address = (s.address != 0).then_some(s.address);
            json!({ "role": format!("{:?}", s.role), "arg": s.arg, "address": address, "length": s.bytes.len(), "text": text })
        })
        .collect();
    let args: Vec<Option<u64>> = (0..divergence::arguments(record)).map(|index| record.logged_arg(index)).collect();
    let name = (record.kind == Kind::Call).then(|| divergence::call_name(record));
    json!({
        "lsn": entry.lsn.0, "epoch": entry.epoch.0, "time_ns": entry.time, "kind": kind, "number": record.number, "name": name,
        "result": record.result, "args": args, "check": record.check, "fast": record.fast, "segments": segments,
    })
}

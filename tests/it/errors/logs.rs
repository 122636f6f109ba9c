//! Recordings that cannot be begun, and directories that hold no log, or one that this ftrun or this machine cannot replay.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use common::cpu::CpuFeatures;
use common::record::{Kind, Record, Segment, SegmentRole};
use common::snapshot::Manifest;

use super::case::{Case, compiled, verdict};
use crate::child;
use crate::support::group::ftrun;
use crate::support::log::rewrite;
use crate::support::program::Exit;

/// A sound recording of a program that prints `here`.
fn recording(case: &Case) -> PathBuf {
    let server = compiled(case, "quiet", &[]);
    let log = case.path("log");
    let recorded = child::run(ftrun().args(["record", "-o"]).arg(&log).arg("--").arg(server));
    recorded.expect(child::Outcome::Exit(0));
    log
}

/// Replaying and dumping end like this; the server's output does not appear.
fn refused(case: &Case, log: &Path, exit: i32, says: &[&str]) -> Result<()> {
    for job in ["replay", "dump"] {
        let mut command = ftrun();
        let mut program = case.start(job, command.arg(job).arg(log))?;
        case.ended(&mut program, Exit::Code(exit), says)?;
        ensure!(program.stdout()?.is_empty(), "{job} writes to standard output");
    }
    Ok(())
}

/// Changes one byte of a file.
fn changed(path: &Path, at: usize, to: u8) -> Result<()> {
    let mut bytes = fs::read(path)?;
    *bytes.get_mut(at).context("a byte there")? = to;
    Ok(fs::write(path, bytes)?)
}

#[test]
fn no_directory() {
    let case = Case::new();
    verdict(refused(
        &case,
        Path::new("/no/such/log"),
        121,
        &["/no/such/log is no directory: expected one that `ftrun record`"],
    ));
    verdict(refused(&case, Path::new("/etc/passwd"), 121, &["/etc/passwd is no directory"]));
}

#[test]
fn no_log_in_it() {
    let case = Case::new();
    let says = ["holds no log, there is no file `snapshot`: it is no recording"];
    verdict(refused(&case, Path::new("/etc"), 121, &says));
}

#[test]
fn snapshot_of_another_version() {
    let case = Case::new();
    let log = recording(&case);
    // docs/log-format.md: the version stands behind eight bytes of magic.
    verdict(changed(&log.join("snapshot"), 8, 99));
    verdict(refused(&case, &log, 121, &["the snapshot has version 99, expected", "use the ftrun that wrote it"]));
}

#[test]
fn segment_of_another_version() {
    let case = Case::new();
    let log = recording(&case);
    let segment = log.join("log-0000000000000000.seg");
    verdict(changed(&segment, 8, 99));
    verdict(refused(&case, &log, 121, &["log-0000000000000000.seg: the segment has version 99, expected"]));
}

#[test]
fn content_missing() {
    let case = Case::new();
    let log = recording(&case);
    fs::remove_file(log.join("content")).unwrap();
    verdict(refused(&case, &log, 121, &["log/content: No such file"]));
}

#[test]
fn other_processor() {
    let case = Case::new();
    let log = recording(&case);
    let path = log.join("snapshot");
    let mut manifest = Manifest::decode(&fs::read(&path).unwrap()).unwrap();
    let own = &manifest.cpu;
    manifest.cpu = CpuFeatures::new("OtherVendor", own.leafs().to_vec(), own.xcr0() | 1 << 17, own.xsave_size());
    fs::write(&path, manifest.encode().unwrap()).unwrap();
    let says = [
        "this processor lacks features",
        "vendor OtherVendor (found ",
        "extended state xtilecfg",
        "replicas need the same",
    ];
    let mut replay = ftrun();
    replay.arg("replay").arg(&log);
    verdict(case.ends(replay, Exit::Code(122), &says[..2]));
}

#[test]
fn directory_holds_a_log_already() {
    let case = Case::new();
    let log = recording(&case);
    let before = fs::read(log.join("content")).unwrap();
    let mut record = ftrun();
    record.args(["record", "-o"]).arg(&log).args(["--", "true"]);
    let says = ["the recording cannot be begun", "already holds a log (", "name another directory or remove it"];
    verdict(case.ends(record, Exit::Code(125), &says));
    assert_eq!(fs::read(log.join("content")).unwrap(), before, "the first recording is untouched");
}

#[test]
fn directory_cannot_be_made() {
    let case = Case::new();
    for (place, why) in [("/proc/no/such", "No such file"), ("/etc/passwd/log", "Not a directory")] {
        let mut record = ftrun();
        record.args(["record", "-o", place, "--", "true"]);
        verdict(case.ends(record, Exit::Code(125), &["the recording cannot be begun", place, why]));
    }
}

/// A log that is sound in form, and says of the one write something else than the program does.
fn forged(name: &str, forge: impl Fn(&mut Record), says: &[&str]) -> Result<()> {
    let case = Case::new();
    let log = recording(&case);
    let other = case.path(name);
    let mut count = 0;
    rewrite(&log, &other, |record| {
        if record.kind == Kind::Call && record.number == common::syscall::nr::WRITE {
            forge(record);
            count += 1;
        }
    })?;
    ensure!(count == 1, "{count} writes, expected one");
    let mut program = case.start("replay", ftrun().arg("replay").arg(&other))?;
    case.ended(&mut program, Exit::Code(123), &["divergence at LSN "])?;
    let report = String::from_utf8_lossy(&program.stderr()?).into_owned();
    let parts = ["\n  expected: ", "\n  found:    ", "\n  rip 0x", "\n  the records before it:\n"];
    for part in parts.iter().chain(says) {
        ensure!(report.contains(part), "the report has no {part:?}:\n{report}");
    }
    ensure!(program.stdout()?.is_empty(), "output that the log does not vouch for appears");
    Ok(())
}

#[test]
fn divergence() {
    let says = ["in write(0x1, _, _)", "of the registers and what the call reads", " in the call write(0x1, 0x"];
    verdict(forged("bytes", |record| record.check ^= 1, &says));
    let says = ["in write(0x7, _, _)", "found:    the call write(0x1, 0x"];
    verdict(forged("argument", |record| record.args[0] = 7, &says));
    let nowhere = |record: &mut Record| {
        record.segments.push(Segment { address: 0, role: SegmentRole::Out, arg: 6, bytes: vec![1] });
    };
    verdict(forged("place", nowhere, &["expected: memory at argument 6", "no place for it: the call write(0x1, 0x"]));
    let input = |record: &mut Record| {
        record.segments.push(Segment { address: 0, role: SegmentRole::In, arg: 1, bytes: b"no".to_vec() });
    };
    verdict(forged("input", input, &["expected: argument 1 at 0x", ": \"no\""]));
}

/// What cannot be written is not written: that is no success.
#[test]
fn output_of_a_replay_is_lost() {
    let case = Case::new();
    let log = recording(&case);
    for (job, says) in [("replay", "the server's output cannot be written: No space left"), ("dump", "No space left")] {
        let full = || File::options().write(true).open("/dev/full").map(Stdio::from);
        let output = ftrun().arg(job).arg(&log).stdout(full().unwrap()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{job}: {stderr}");
        assert!(stderr.starts_with("ftrun: ") && stderr.contains(says), "{job}: {stderr}");
        // A reader who goes away is no error.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = ftrun().arg(job).arg(&log).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{job}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

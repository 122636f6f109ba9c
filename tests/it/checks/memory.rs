//! Memory that the server never looks at: where it is not what it was, the next look at memory finds it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::memory::{Pages, Scope};
use common::record::{Kind, Record, SegmentRole};
use tempfile::TempDir;

use crate::child::{self, Ended, Outcome};
use crate::guest::{FTRUN, command};
use crate::support::log::{records, rewrite};
use crate::support::program::{Exit, Program};
use crate::support::{launcher, verdict};

fn replayed(scratch: &TempDir, log: &Path, layer: &str) -> Ended {
    let mut replay = command(Path::new(FTRUN), scratch.path(), None);
    child::run(replay.args(["replay", "--layer", layer]).arg(log))
}

/// Runs a program under this command, and changes a byte of its memory meanwhile. Where that was.
pub(super) fn meddled(scratch: &TempDir, mut ftrun: Command) -> Result<(Program, u64)> {
    ftrun.arg("--").arg(launcher("unseen", scratch.path(), &[]));
    let mut recorder = Program::start_fed("recorder", &mut ftrun, scratch.path())?;
    recorder.wait_stdout("where its memory is", |said| said.contains(&b'\n'))?;
    let said = String::from_utf8(recorder.stdout()?)?;
    let (pid, address) = said.trim().split_once(' ').context("a pid and an address")?;
    let address = u64::from_str_radix(address, 16)?;
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
    let mut byte = [0];
    memory.read_exact_at(&mut byte, address + 100)?;
    ensure!(byte == [100], "{byte:?} stands there");
    memory.write_all_at(&[101], address + 100)?;
    recorder.feed(b"\n")?;
    Ok((recorder, address))
}

fn recorded(scratch: &TempDir, log: &Path, layer: &str, memory_check: &str) -> Result<u64> {
    let mut record = command(Path::new(FTRUN), scratch.path(), None);
    record.args(["record", "--layer", layer, "--memory-check", memory_check, "-o"]).arg(log);
    let (mut recorder, address) = meddled(scratch, record)?;
    ensure!(recorder.wait()? == Exit::Code(0), "the recorder ends well");
    Ok(address)
}

fn found(layer: &str, memory_check: &str) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let log = scratch.path().join("log");
    let address = recorded(&scratch, &log, layer, memory_check)?;
    for replay in ["fast", "complete", "mixed"] {
        let ended = replayed(&scratch, &log, replay);
        ended.expect(Outcome::Exit(123));
        let report = String::from_utf8_lossy(&ended.stderr).into_owned();
        let page = format!("the first page that differs is {address:#x}, in ");
        for part in ["divergence at LSN ", " in memory of ", " pages", &page] {
            ensure!(report.contains(part), "the report has no {part:?}:\n{report}");
        }
    }
    Ok(())
}

#[test]
fn is_found_in_the_fast_layer() {
    verdict(found("fast", "1"));
}

#[test]
fn is_found_in_the_complete_layer() {
    verdict(found("complete", "1"));
}

#[test]
fn is_found_in_the_mixed_layer() {
    verdict(found("mixed", "1"));
}

/// By a look at a copy of the server, while that goes on.
#[test]
fn is_found_in_the_background() {
    for layer in ["fast", "complete", "mixed"] {
        verdict(found(layer, "auto:1"));
    }
}

/// What was announced is told, and compared.
#[test]
fn a_look_in_the_background_is_told_of() {
    verdict((|| {
        let scratch = tempfile::tempdir()?;
        let log = scratch.path().join("log");
        let mut record = command(Path::new(FTRUN), scratch.path(), Some("\n"));
        record.args(["record", "--memory-check", "auto:5", "-o"]).arg(&log).arg("--");
        child::run(record.arg(launcher("unseen", scratch.path(), &[]))).expect(Outcome::Exit(0));
        replayed(&scratch, &log, "fast").expect(Outcome::Exit(0));
        let all = records(&log)?;
        let looks: Vec<&Record> = all.iter().filter(|record| record.kind == Kind::Memory).collect();
        let scopes: Vec<Option<Scope>> = looks.iter().map(|look| Scope::from_number(look.number)).collect();
        ensure!(looks.len() >= 6, "{scopes:?}");
        for pair in scopes.chunks_exact(2) {
            ensure!(pair == [Some(Scope::Announced), Some(Scope::Private)], "{scopes:?}");
        }
        ensure!(looks.iter().all(|look| (look.result > 3) == (look.number == Scope::Private as u16)), "pages in each");
        let forged = scratch.path().join("forged");
        let mut first = true;
        rewrite(&log, &forged, |record| {
            if record.kind == Kind::Memory && record.number == Scope::Private as u16 && std::mem::take(&mut first) {
                record.check ^= 1;
            }
        })?;
        let ended = replayed(&scratch, &forged, "fast");
        ended.expect(Outcome::Exit(123));
        let report = String::from_utf8_lossy(&ended.stderr).into_owned();
        ensure!(report.contains("pages that are not zero at LSN "), "{report}");
        Ok(())
    })());
}

/// It is the look at memory that finds it, and nothing else.
#[test]
fn off_it_is_not_noticed() {
    verdict((|| {
        let scratch = tempfile::tempdir()?;
        let log = scratch.path().join("log");
        recorded(&scratch, &log, "fast", "0")?;
        replayed(&scratch, &log, "fast").expect(Outcome::Exit(0));
        ensure!(!records(&log)?.iter().any(|record| record.kind == Kind::Memory), "nobody has asked for it");
        Ok(())
    })());
}

/// Records that say something else than the program's memory, or nothing.
#[test]
fn a_forged_look_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let log = scratch.path().join("log");
    let mut record = command(Path::new(FTRUN), scratch.path(), Some("\n"));
    record.args(["record", "--memory-check", "5", "-o"]).arg(&log).arg("--");
    child::run(record.arg(launcher("unseen", scratch.path(), &[]))).expect(Outcome::Exit(0));
    replayed(&scratch, &log, "fast").expect(Outcome::Exit(0));
    let all = records(&log).unwrap();
    let looks: Vec<&Record> = all.iter().filter(|record| record.kind == Kind::Memory).collect();
    assert!(looks.len() > 3, "{} looks", looks.len());
    let pages = |record: &Record| Pages::decode(record.bytes_of(SegmentRole::Pages).unwrap()).unwrap().len();
    assert!(looks.iter().all(|look| i64::try_from(pages(look)) == Ok(look.result)));
    let last = looks.last().map(|look| pages(look));
    assert!(last > looks.first().map(|look| pages(look)), "the last one is of all that can be read");
    type Forge = fn(&mut Record);
    let forgeries: [(&str, Forge, &str); 4] = [
        ("check", |record| record.check ^= 1, "in a page that the log does not name"),
        ("scope", |record| record.number = 4, "a malformed one"),
        ("pages", |record| record.segments.truncate(0), "a malformed one"),
        ("cut", |record| record.segments[0].bytes.truncate(12), "a malformed one"),
    ];
    for (name, forge, says) in forgeries {
        let forged = scratch.path().join(name);
        rewrite(&log, &forged, |record| {
            if record.kind == Kind::Memory {
                forge(record)
            }
        })
        .unwrap();
        let ended = replayed(&scratch, &forged, "fast");
        ended.expect(Outcome::Exit(123));
        let report = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(report.contains(says), "{name}: the report has no {says:?}:\n{report}");
    }
}

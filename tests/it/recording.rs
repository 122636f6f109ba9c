//! Recordings whose recorder does not end in order, and the demonstration.

use std::fs;
use std::io::BufRead as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use crate::child::{self, Outcome};
use crate::guest::{FTRUN, Guest, command};
use crate::support::group::STATUS_INTERVAL;
use crate::support::program::Program;
use crate::support::wire::Wire;
use crate::support::{DEADLINE, OFTEN, free_address, listening, poll};

/// What one killed recorder leaves is a prefix of the run: it replays, and the replay says that the end is missing.
#[test]
fn a_killed_recorder_leaves_a_usable_log() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("log");
    let address = free_address()?;
    let mut record = Command::new(FTRUN);
    record.arg("record").arg("-o").arg(&log).arg("--").arg(FTRUN).args([
        "example-kv",
        "--listen",
        &address.to_string(),
    ]);
    let mut recorder = Program::start("recorder", &mut record, dir.path())?;
    poll("the server to listen", OFTEN, || Ok(listening(address)?.then_some(())))?;
    let mut client = Wire::connect(address, "client")?;
    for number in 1..=100 {
        client.send(b"INCR n\n")?;
        client.expect(format!("{number}\n").as_bytes())?;
    }
    // A recording holds no output back: its log is written while the answers are on their way.
    let answers = || {
        let dump = child::run(Command::new(FTRUN).arg("dump").arg(&log));
        String::from_utf8_lossy(&dump.stdout).lines().filter(|line| line.contains(" sendto(")).count()
    };
    poll("the answers to be in the log", STATUS_INTERVAL, || Ok((answers() >= 100).then_some(())))?;
    recorder.process().signal(Signal::SIGKILL)?;
    recorder.wait()?;

    let replay = child::run(Command::new(FTRUN).arg("replay").arg(&log));
    replay.expect(Outcome::Exit(0));
    let lines = replay.stderr_lines();
    ensure!(lines.iter().any(|line| line.contains("its recorder was")), "the missing end is told: {lines:?}");
    let last = lines.last().map(String::as_str).unwrap_or_default();
    ensure!(last.starts_with("replayed ") && last.ends_with(" records, identical"), "the last line is {last:?}");
    let replayed: u64 = last.split(' ').nth(1).unwrap_or_default().parse()?;
    // Each request is a wait, a read and a write at least.
    ensure!(replayed > 300, "100 requests are in {replayed} records");
    Ok(())
}

/// A server that ends by a signal leaves a core where it would without ftrun, and its replica none.
#[test]
fn a_core_is_left_by_the_server_and_not_by_its_replica() -> Result<()> {
    const CORE_DUMPED: i64 = 0x80;
    let guest = Guest::built("core_dump");
    let dir = tempfile::tempdir()?;
    let at = |name: &str| -> Result<PathBuf> {
        let path = dir.path().join(name);
        fs::create_dir(&path)?;
        Ok(path)
    };
    let files = |path: &Path| -> Result<usize> { Ok(fs::read_dir(path)?.count()) };
    let (native, recorded, replayed, log) = (at("native")?, at("recorded")?, at("replayed")?, dir.path().join("log"));
    let dumped = Command::new(&guest.program).current_dir(&native).stdout(Stdio::null()).status()?.core_dumped();

    let ended = child::run(
        command(Path::new(FTRUN), &recorded, None).args(["record", "-o"]).arg(&log).arg("--").arg(&guest.program),
    );
    ended.expect(Outcome::Signal(Signal::SIGABRT as i32));
    let dump = child::run(Command::new(FTRUN).args(["dump", "--json"]).arg(&log));
    let end: serde_json::Value =
        serde_json::from_slice(dump.stdout.lines().last().context("a last record")??.as_bytes())?;
    let status = end["result"].as_i64().context("a wait status")?;
    ensure!((status & CORE_DUMPED != 0) == dumped, "natively a core: {dumped}; recorded with status {status:#x}");
    ensure!(files(&recorded)? == files(&native)?, "as many cores as natively");

    let replay = child::run(command(Path::new(FTRUN), &replayed, None).arg("replay").arg(&log));
    replay.expect(Outcome::Exit(0));
    ensure!(files(&replayed)? == 0, "no core of the replica");
    Ok(())
}

/// The README's first command: what it prints last, and that it means it.
#[test]
fn the_demonstration_loses_nothing() -> Result<()> {
    let demo = child::run(Command::new(FTRUN).args(["demo", "--seconds", "3"]));
    demo.expect(Outcome::Exit(0));
    let text = String::from_utf8(demo.stdout.clone())?;
    let last = text.lines().last().unwrap_or_default();
    let fields: Vec<&str> = last.strip_prefix("demo: ").unwrap_or_default().split(' ').collect();
    let number = |name: &str| {
        let value = fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<u64>().ok())
    };
    ensure!(number("lost") == Some(0) && number("reconnects") == Some(0), "the last line is {last:?}");
    ensure!(number("requests").is_some_and(|requests| requests > 0), "the last line is {last:?}");
    let stall = number("longest_stall_ms");
    ensure!(stall.is_some_and(|stall| u128::from(stall) < DEADLINE.as_millis()), "the last line is {last:?}");
    Ok(())
}

/// A script that names its interpreter through env(1): env itself would be refused its execve.
#[test]
fn a_script_with_env_in_its_first_line_runs() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (script, log) = (dir.path().join("server"), dir.path().join("log"));
    std::fs::write(&script, "#!/usr/bin/env lua5.4\nprint(arg[0], arg[1])\n")?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let record =
        child::run(Command::new(FTRUN).arg("record").arg("-o").arg(&log).arg("--").arg(&script).arg("argument"));
    record.expect(Outcome::Exit(0));
    ensure!(
        record.stdout == format!("{}\targument\n", script.display()).as_bytes(),
        "the script ran: {:?}",
        record.stdout
    );
    let replay = child::run(Command::new(FTRUN).arg("replay").arg(&log));
    replay.expect(Outcome::Exit(0));
    ensure!(replay.stdout == record.stdout, "replay printed {:?}", replay.stdout);
    Ok(())
}

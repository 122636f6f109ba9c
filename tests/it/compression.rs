//! Logs whose frames are compressed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::child::{self, Outcome};
use crate::guest::FTRUN;
use crate::support::group::{Group, Victim};
use crate::support::status::{Role, Status};
use crate::support::wire::Wire;
use crate::support::{free_address, verdict};

/// Bytes of the file that is read: several frames of log.
const LENGTH: usize = 1 << 20;

/// A recording of a program that reads a file of text and prints it.
fn recording(scratch: &TempDir, when: &str) -> Result<(PathBuf, Vec<u8>)> {
    let (log, text) = (scratch.path().join(when), scratch.path().join("text"));
    fs::write(&text, "a line that is in this file again and again\n".repeat(LENGTH / 40))?;
    let mut record = Command::new(FTRUN);
    record.args(["record", "--compress", when, "-o"]).arg(&log).args(["--", "head", "-c", &LENGTH.to_string()]);
    let recorded = child::run(record.arg(&text));
    recorded.expect(Outcome::Exit(0));
    ensure!(recorded.stdout.len() == LENGTH, "{} bytes are printed", recorded.stdout.len());
    Ok((log, recorded.stdout))
}

/// Replays a recording; gives what it printed.
fn replayed(log: &Path) -> Vec<u8> {
    let replay = child::run(Command::new(FTRUN).arg("replay").arg(log));
    replay.expect(Outcome::Exit(0));
    if !replay.stderr_lines().last().is_some_and(|last| last.ends_with(" records, identical")) {
        replay.fail("the last line on stderr is not `replayed N records, identical`");
    }
    replay.stdout
}

/// Bytes of the log and of its frames, as the last line of `ftrun dump` tells them.
fn told(log: &Path) -> Result<(u64, u64)> {
    let dump = child::run(Command::new(FTRUN).arg("dump").arg(log));
    dump.expect(Outcome::Exit(0));
    let lines = dump.stderr_lines();
    let last = lines.last().context("dump says nothing")?;
    let words: Vec<&str> = last.split(' ').collect();
    let [_, "records,", log, "bytes", "of", "log", "in", stored, "bytes", "of", "frames"] = words[..] else {
        bail!("the last line is {last:?}");
    };
    Ok((log.parse()?, stored.parse()?))
}

/// Bytes of all files in a directory.
fn size(directory: &Path) -> Result<u64> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

#[test]
fn a_compressed_recording_is_smaller_and_replays_the_same() {
    verdict(scratch().and_then(|scratch| {
        let (plain, printed) = recording(&scratch, "never")?;
        let (log, stored) = told(&plain)?;
        ensure!(log > LENGTH as u64 && stored > log, "never: {log} bytes of log in {stored} bytes of frames");
        // Of what was read hardly anything is left. The log begins with files that compress less: the libraries.
        let saved = LENGTH as u64 / 10 * 9;
        for when in ["always", "auto"] {
            let (compressed, printed_again) = recording(&scratch, when)?;
            ensure!(printed_again == printed, "{when}: the program prints something else");
            ensure!(replayed(&compressed) == printed, "{when}: the replay prints something else");
            let (log, stored) = told(&compressed)?;
            ensure!(
                log > LENGTH as u64 && stored + saved < log,
                "{when}: {log} bytes of log in {stored} bytes of frames"
            );
            let (less, more) = (size(&compressed)?, size(&plain)?);
            ensure!(less + saved < more, "{when}: {less} bytes, never: {more} bytes");
        }
        ensure!(replayed(&plain) == printed, "never: the replay prints something else");
        Ok(())
    }));
}

fn scratch() -> Result<TempDir> {
    TempDir::new().context("a scratch directory can be made")
}

/// Bytes of log that the primary has sent, and of the frames that it sent them in.
fn sent(status: &Status) -> Result<(u64, u64)> {
    let primary = status.only(Role::Primary).context("a primary")?;
    Ok((primary.sent_bytes.context("sent_bytes")?, primary.stored_bytes.context("stored_bytes")?))
}

/// A pair whose log is compressed on its way; the primary dies.
fn pair(options: &[&str], check: impl Fn(u64, u64) -> bool) -> Result<()> {
    let scratch = scratch()?;
    let address = free_address()?;
    let server = [FTRUN, "example-kv", "--listen", &address.to_string()].map(OsString::from);
    let mut group = Group::start_with(options, &server, address, scratch.path())?;
    let survived = (|| {
        group.wait_paired()?;
        let mut client = Wire::connect(group.address(), "client")?;
        // An answer: what the server did when it started has been sent.
        client.send(b"GET key\n")?;
        client.line()?;
        let before = sent(&group.wait_paired()?)?;
        let value = "value".repeat(600);
        let (set, get) = (format!("SET key {value}\n"), format!("{value}\n"));
        for number in 1..=50 {
            client.send(set.as_bytes())?;
            client.expect(b"OK\n")?;
            client.send(b"INCR n\n")?;
            client.expect(format!("{number}\n").as_bytes())?;
        }
        let status = group.wait_paired()?;
        let after = sent(&status)?;
        let (log, stored) = (after.0 - before.0, after.1 - before.1);
        ensure!(log > 50 * 3000 && check(log, stored), "{log} bytes of log were sent in {stored} bytes of frames");
        let in_process = status.only(Role::Primary).and_then(|primary| primary.fast_calls).context("fast_calls")?;
        let as_expected = match std::env::var("FTRUN_LAYER").as_deref() {
            Ok("complete") => in_process == 0,
            // By chance none may have been.
            Ok("mixed") => true,
            _ => in_process > 100,
        };
        ensure!(as_expected, "{in_process} calls were made in process");
        group.kill(Victim::Primary, &status)?;
        client.send(b"INCR n\nGET key\n")?;
        client.expect(b"51\n")?;
        client.expect(get.as_bytes())?;
        group.wait_solo(Victim::Primary, &status)?;
        drop(client);
        group.stop()?;
        Ok(())
    })();
    survived.map_err(|error| group.explain(error))
}

#[test]
fn a_pair_with_a_compressed_log_survives_its_primary() {
    verdict(pair(&["--compress", "always"], |log, stored| stored < log / 2));
}

/// On one machine nothing is shorter on the way.
#[test]
fn a_pair_on_one_machine_does_not_compress() {
    verdict(pair(&[], |log, stored| stored > log));
}

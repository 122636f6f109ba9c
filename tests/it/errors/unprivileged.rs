//! No root is needed: a service, a recording and its replay by a user who may do nothing special.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::case::{Case, compiled, verdict};
use super::state::served;
use crate::child;
use crate::support::free_address;
use crate::support::group::ftrun;
use crate::support::program::Exit;

/// The user `nobody` and its group.
pub(super) const NOBODY: u32 = 65_534;

/// The same `ftrun` command, run by a user without privileges: by the one who runs the tests, or, where that is root, by nobody,
/// with a copy of the program that nobody can reach.
pub(super) fn as_nobody(case: &Case, command: Command) -> Command {
    if !nix::unistd::getuid().is_root() {
        return command;
    }
    let copy = case.path("ftrun");
    if !copy.exists() {
        // By another process: one that this one forks meanwhile, for another test, would hold the copy open for writing,
        // and it could not be executed.
        let mut install = Command::new("install");
        child::run(install.args(["-m", "755"]).arg(command.get_program()).arg(&copy)).expect(child::Outcome::Exit(0));
    }
    let mut changed = Command::new(copy);
    changed.args(command.get_args()).uid(NOBODY).gid(NOBODY);
    changed
}

fn given_away(path: &Path) -> Result<()> {
    fs::create_dir(path)?;
    if nix::unistd::getuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

#[test]
fn service_runs() {
    let case = Case::new();
    verdict(service(&case));
}

fn service(case: &Case) -> Result<()> {
    let state = case.path("state");
    given_away(&state)?;
    let server = compiled(case, "echo", &[]);
    let address = free_address()?;
    let mut command = case.ftrun(["--"]);
    command.arg(server).arg(address.port().to_string());
    let mut program = case.start("service", &mut as_nobody(case, command))?;
    let status = case.wait_paired(&mut program, &state)?;
    served(address)?;
    // The one that takes over needs no more than the first.
    super::case::process(status.only(crate::support::status::Role::Primary).expect("one primary").ftrun_pid)?
        .signal(Signal::SIGKILL)?;
    let solo = case.wait_status(&mut program, &state, "the backup to take over", |status| {
        status.only(crate::support::status::Role::Solo).is_some()
    })?;
    served(address)?;
    ensure!(program.wait()? == Exit::Signal(libc::SIGKILL), "the first ftrun was killed");
    super::case::process(solo.replicas[0].ftrun_pid)?.signal(Signal::SIGTERM)?;
    case.nothing_left(&program)
}

#[test]
fn recording_and_replay_run() {
    let case = Case::new();
    verdict(recording(&case));
}

fn recording(case: &Case) -> Result<()> {
    let directory = case.path("logs");
    given_away(&directory)?;
    let server = compiled(case, "quiet", &[]);
    let log = directory.join("log");
    let mut record = ftrun();
    record.args(["record", "-o"]).arg(&log).arg("--").arg(server);
    let mut replay = ftrun();
    replay.arg("replay").arg(&log);
    for (name, command) in [("record", record), ("replay", replay)] {
        let mut program = case.start(name, &mut as_nobody(case, command))?;
        case.ended(&mut program, Exit::Code(0), &[])?;
        ensure!(program.stdout()? == b"here\n", "{name}: the server's output");
    }
    Ok(())
}

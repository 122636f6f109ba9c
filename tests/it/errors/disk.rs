//! Full disks: a small one is mounted for each test, in a mount namespace that ends with it.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::case::{Case, compiled, process, verdict, wait_said};
use super::state::served;
use crate::support::free_address;
use crate::support::group::ftrun;
use crate::support::program::Exit;
use crate::support::skip;
use crate::support::status::Role;

/// A command that sees a disk of this size at `disk` in the directory of the test: a shell in a mount namespace of its own, which
/// executes `script` with `$0` (ftrun) and `$@`. `None` when this machine does not allow that.
fn with_disk(test: &str, case: &Case, kibibytes: u32, script: &str) -> Option<Command> {
    let disk = case.path("disk");
    fs::create_dir_all(&disk).expect("a directory can be made");
    let mount = format!("mount -t tmpfs -o size={kibibytes}k,mode=0755 tmpfs '{}'", disk.display());
    let unshare = || {
        let mut command = Command::new("unshare");
        if !nix::unistd::getuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c"]);
        command
    };
    let tried = unshare().arg(&mount).output();
    let why = match tried {
        Ok(output) if output.status.success() => {
            let mut command = unshare();
            command.arg(format!("{mount} && cd '{}' && {script}", disk.display())).arg(ftrun().get_program());
            return Some(command);
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    skip(test, &format!("no small disk can be mounted here: {why}"));
    None
}

#[test]
fn recording_cannot_be_begun() {
    let case = Case::new();
    let Some(mut command) = with_disk("disk::recording_cannot_be_begun", &case, 64, "exec \"$0\" \"$@\"") else {
        return;
    };
    command.args(["record", "-o"]).arg(case.path("disk").join("log")).arg("--").arg(compiled(&case, "quiet", &[]));
    let says = ["the recording cannot be begun: ", "/disk/log/content", "No space left on device"];
    verdict(case.ends(command, Exit::Code(125), &says));
}

/// The server is ended by the first record that cannot be kept; what is on the disk replays.
#[test]
fn recording_cannot_go_on() {
    let case = Case::new();
    let script = "{ \"$0\" \"$@\"; status=$?; cp -r log ../kept; exit $status; }";
    let Some(mut command) = with_disk("disk::recording_cannot_go_on", &case, 8192, script) else { return };
    command.args(["record", "-o"]).arg(case.path("disk").join("log")).arg("--").arg(compiled(&case, "endless", &[]));
    let says = ["the recording cannot be written, the server is ended: ", ".seg: No space left on device"];
    verdict(case.ends(command, Exit::Code(125), &says));
    let mut replay = ftrun();
    replay.arg("replay").arg(case.path("kept"));
    verdict(case.ends(replay, Exit::Code(0), &["the log ends while the server runs"]));
}

#[test]
fn state_directory_is_full() {
    let case = Case::new();
    let Some(mut command) = with_disk("disk::state_directory_is_full", &case, 64, "exec \"$0\" \"$@\"") else { return };
    command.arg("--state-dir").arg(case.path("disk").join("state")).arg("--").arg(compiled(&case, "quiet", &[]));
    let says =
        ["the backup cannot be brought into step: the backup failed: ", "/state/content", "No space left on device"];
    verdict(case.ends(command, Exit::Code(125), &says));
}

/// The arbiter's disk is full when the primary dies: the backup asks again, does nothing meanwhile, and takes over when there is
/// room.
#[test]
fn arbiter_is_full_at_the_failover() {
    let case = Case::new();
    let script = "exec \"$0\" \"$@\"";
    let Some(command) = with_disk("disk::arbiter_is_full_at_the_failover", &case, 16_384, script) else { return };
    verdict(full_arbiter(&case, command));
}

fn full_arbiter(case: &Case, mut command: Command) -> Result<()> {
    let address = free_address()?;
    let state = case.path("disk").join("state");
    command.arg("--state-dir").arg(&state).arg("--").arg(compiled(case, "echo", &[])).arg(address.port().to_string());
    let mut program = case.start("service", &mut command)?;
    let seen_by = |pid: i32, path: &Path| PathBuf::from(format!("/proc/{pid}/root{}", path.display()));
    let seen = seen_by(program.process().pid(), &state);
    let status = case.wait_paired(&mut program, &seen)?;
    let backup = process(status.only(Role::Backup).context("a backup")?.ftrun_pid)?;
    let filler = seen_by(backup.pid(), &case.path("disk").join("filler"));
    let filled = fs::File::create(&filler)?;
    let mut offset = 0;
    while let Ok(written) = filled.write_at(&[7; 4096], offset) {
        offset += written as u64;
    }
    program.process().signal(Signal::SIGKILL)?;
    ensure!(program.wait()? == Exit::Signal(libc::SIGKILL), "it is killed");
    let says = [
        "epoch 2 cannot be claimed: the arbiter at ",
        "No space left on device",
        "asking again until the arbiter answers",
    ];
    wait_said(&mut program, &says)?;
    let state = seen_by(backup.pid(), &state);
    let status = case.status(&state)?.context("a backup that runs")?;
    ensure!(status.only(Role::Backup).is_some() && status.epoch == 1, "it acts without an epoch: {status:?}");
    drop(filled);
    fs::remove_file(&filler)?;
    case.wait_status(&mut program, &state, "the backup to take over", |status| {
        status.only(Role::Solo).is_some() && status.epoch == 2
    })?;
    served(address)?;
    let left: Vec<_> = state.join("epochs").read_dir()?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(left.len() == 2, "two epochs were won, and no claim that failed is left: {left:?}");
    backup.signal(Signal::SIGTERM)?;
    case.nothing_left(&program)
}

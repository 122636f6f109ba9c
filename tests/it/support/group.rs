//! A running `ftrun` (primary, backup and proxy on this machine) with a state directory of its own,
//! and the ways to hurt it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::process::Process;
use super::program::{Exit, Program};
use super::status::{self, Role, Status};
use super::{OFTEN, poll};

/// How often the status is asked for: each time is a process.
pub(crate) const STATUS_INTERVAL: Duration = Duration::from_millis(30);

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// The primary's server process.
    Server,
    /// The primary's `ftrun`.
    Primary,
    /// The backup's `ftrun`.
    Backup,
    /// The process in which the backup replays.
    BackupServer,
}

impl Victim {
    fn role(self) -> Role {
        match self {
            Self::Server | Self::Primary => Role::Primary,
            Self::Backup | Self::BackupServer => Role::Backup,
        }
    }
}

/// The program under test.
pub(crate) fn ftrun() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ftrun"))
}

/// One group. Dropping it kills every process that it ever was known to have.
#[derive(Debug)]
pub(crate) struct Group {
    program: Program,
    address: SocketAddr,
    directory: PathBuf,
    known: Vec<Process>,
}

impl Group {
    /// Starts `ftrun -- server`; `address` is where the server asks to listen.
    pub(crate) fn start(server: &[OsString], address: SocketAddr, dir: &Path) -> Result<Self> {
        Self::start_with(&[], server, address, dir)
    }

    /// The same with more options of `ftrun`.
    pub(crate) fn start_with(options: &[&str], server: &[OsString], address: SocketAddr, dir: &Path) -> Result<Self> {
        let mut command = ftrun();
        command.arg("--state-dir").arg(dir.join("state")).args(options).arg("--");
        let program = Program::start("ftrun", command.args(server), dir)?;
        Ok(Self { known: vec![program.process()], program, address, directory: dir.to_owned() })
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The status now; `None` when `ftrun status` says that nothing runs.
    pub(crate) fn status(&mut self) -> Result<Option<Status>> {
        let Some(status) = status::ask(&self.directory.join("state"), &self.directory)? else {
            return Ok(None);
        };
        for process in status.pids().filter_map(Process::find) {
            if !self.known.contains(&process) {
                self.known.push(process);
            }
        }
        Ok(Some(status))
    }

    /// Waits until a backup is in step and clients can connect.
    pub(crate) fn wait_paired(&mut self) -> Result<Status> {
        let address = self.address.to_string();
        let mut last = None;
        poll("primary and backup to be paired", STATUS_INTERVAL, || {
            if let Some(exit) = self.program.exit()? {
                bail!("ftrun has ended: {exit:?}");
            }
            last = self.status()?;
            let paired = last.as_ref().is_some_and(|status| {
                let listens = |it: &super::status::Proxy| it.listen.contains(&address);
                status.replicas.len() == 2
                    && status.only(Role::Primary).is_some_and(|it| it.server_pid.is_some())
                    && status.only(Role::Backup).is_some()
                    && status.proxy.as_ref().is_some_and(listens)
            });
            Ok(if paired { last.take() } else { None })
        })
        .with_context(|| format!("last status: {last:?}"))
    }

    /// SIGKILL to the process that `status` names.
    pub(crate) fn kill(&mut self, victim: Victim, status: &Status) -> Result<()> {
        let replica = status.only(victim.role());
        let replica = replica.with_context(|| format!("no {victim:?} in {status:?}"))?;
        let pid = match victim {
            Victim::Server | Victim::BackupServer => replica.server_pid,
            Victim::Primary | Victim::Backup => Some(replica.ftrun_pid),
        };
        let pid = pid.with_context(|| format!("no pid for {victim:?} in {status:?}"))?;
        let process = self.known.iter().find(|it| it.pid() == pid && it.alive());
        let process = process.with_context(|| format!("{victim:?}, pid {pid}, has ended"))?;
        process.signal(Signal::SIGKILL)
    }

    /// Waits until the one replica that is left serves alone, in the epoch after `before`, and
    /// nothing of the one that lost `victim` is left.
    pub(crate) fn wait_solo(&mut self, victim: Victim, before: &Status) -> Result<Status> {
        let survives = match victim.role() {
            Role::Backup => Role::Primary,
            _ => Role::Backup,
        };
        let survivor = before.only(survives).context("a survivor")?.ftrun_pid;
        let mut last = None;
        let solo = poll("the survivor to be solo", STATUS_INTERVAL, || {
            last = self.status()?;
            let Some(status) = &last else {
                return Ok(None);
            };
            ensure!(status.epoch <= before.epoch + 1, "epoch {} was followed by {}", before.epoch, status.epoch);
            let solo = status.replicas.len() == 1 && status.only(Role::Solo).is_some();
            Ok((solo && status.epoch == before.epoch + 1).then(|| status.clone()))
        })
        .and_then(|status| {
            let pid = status.only(Role::Solo).map(|it| it.ftrun_pid);
            ensure!(pid == Some(survivor), "not {survivor} but {pid:?} is solo");
            Ok(status)
        })
        .with_context(|| format!("last status: {last:?}"))?;
        let lost = before.only(victim.role()).context("a victim")?;
        let lost = Some(lost.ftrun_pid).into_iter().chain(lost.server_pid);
        self.wait_gone(&lost.collect::<Vec<_>>())?;
        Ok(solo)
    }

    fn wait_gone(&mut self, pids: &[i32]) -> Result<()> {
        let known = self.known.clone();
        poll("the lost replica's processes to end", OFTEN, || {
            self.program.exit()?;
            let left = |it: &Process| pids.contains(&it.pid()) && it.alive();
            Ok((!known.iter().any(left)).then_some(()))
        })
    }

    /// SIGTERM to whoever serves; waits until no process of the group is left, and says how the
    /// `ftrun` that the test started has ended.
    pub(crate) fn stop(&mut self) -> Result<Exit> {
        let status = self.status()?.context("nothing runs")?;
        let serving = status.only(Role::Solo).or(status.only(Role::Primary));
        let pid = serving.context("no replica serves")?.ftrun_pid;
        let serving = self.known.iter().find(|it| it.pid() == pid);
        serving.context("a known process")?.signal(Signal::SIGTERM)?;
        let exit = self.program.wait()?;
        let mut left = Vec::new();
        poll("the group's processes to end", OFTEN, || {
            left = self.program.family();
            let rest = self.known.iter().filter(|it| it.alive());
            let rest: Vec<_> = rest.filter(|it| !left.contains(*it)).copied().collect();
            left.extend(rest);
            Ok(left.is_empty().then_some(()))
        })
        .with_context(|| {
            let commands: Vec<_> = left.iter().map(|it| (it.pid(), it.command())).collect();
            format!("still running: {commands:?}")
        })?;
        let after = self.status()?;
        ensure!(after.is_none(), "after the end, ftrun status says {after:?}");
        Ok(exit)
    }

    /// Adds what `ftrun` wrote to its standard error to an error.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        self.program.explain(error)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for process in &self.known {
            if let Err(error) = process.signal(Signal::SIGKILL) {
                eprintln!("{error:#}");
            }
        }
    }
}

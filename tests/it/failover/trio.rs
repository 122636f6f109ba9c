//! A primary, a backup and a proxy, each an `ftrun` of its own on this machine: how each of them ends, and what each prints, can
//! be told apart.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::support::group::{Victim, ftrun};
use crate::support::process::Process;
use crate::support::program::{Exit, Program};
use crate::support::status::{Role, Status};
use crate::support::{OFTEN, free_address, listening, poll};

/// How often the status is asked for: each time is a process.
const STATUS_INTERVAL: Duration = Duration::from_millis(30);

/// The three, and what they replicate.
#[derive(Debug)]
pub(crate) struct Trio {
    /// The first to run the server.
    pub(crate) primary: Program,
    /// The one that takes over. It starts in another directory than the primary.
    pub(crate) backup: Program,
    proxy: Program,
    directory: PathBuf,
    state: PathBuf,
    before: Status,
    killed: bool,
}

fn wait_listening(program: &mut Program, address: SocketAddr) -> Result<()> {
    let listens = poll("it to listen", OFTEN, || {
        let exit = program.exit()?;
        ensure!(exit.is_none(), "it has ended: {exit:?}");
        Ok(listening(address)?.then_some(()))
    });
    listens.map_err(|error| program.explain(error))
}

impl Trio {
    /// Starts `server`, in `work`, which is to listen at `addresses`.
    pub(crate) fn start(server: &[String], addresses: &[SocketAddr], directory: &Path, work: &Path) -> Result<Self> {
        let state = directory.join("state");
        let arbiter = directory.join("epochs");
        fs::create_dir(&arbiter)?;
        // The tests on several hosts, and those of rules and errors, have their replicas speak TCP.
        let (control, log) = (free_address()?.to_string(), format!("unix:{}", directory.join("log").display()));
        let own = || {
            let mut command = ftrun();
            command.current_dir("/").arg("--state-dir").arg(&state);
            command
        };
        let mut proxy = own();
        let mut proxy = Program::start("proxy", proxy.args(["--proxy", "--control", &control]), directory)?;
        wait_listening(&mut proxy, control.parse()?)?;
        let mut backup = own();
        let backup = Program::start("backup", backup.args(["--backup", "--listen", &log]), directory)?;
        poll("the backup to listen", OFTEN, || Ok(directory.join("log").exists().then_some(())))
            .map_err(|error| backup.explain(error))?;
        let mut primary = own();
        primary.current_dir(work).args(["--peer", &log, "--control", &control]);
        primary.arg("--arbiter").arg(format!("file:{}", arbiter.display())).arg("--").args(server);
        let mut primary = Program::start("primary", &mut primary, directory)?;
        let before = wait_paired(&mut primary, &state, directory, addresses)?;
        Ok(Self { primary, backup, proxy, directory: directory.to_owned(), state, before, killed: false })
    }

    /// What `ftrun status --json` says; `None` when nothing runs.
    pub(crate) fn status(&self) -> Result<Option<Status>> {
        status(&self.state, &self.directory)
    }

    /// The process of a victim, while there are two replicas.
    pub(crate) fn process(&self, victim: Victim) -> Result<Process> {
        let role = match victim {
            Victim::Server | Victim::Primary => Role::Primary,
            Victim::Backup | Victim::BackupServer => Role::Backup,
        };
        let replica = self.before.only(role).context("a replica")?;
        let pid = match victim {
            Victim::Server | Victim::BackupServer => replica.server_pid.context("a server process")?,
            Victim::Primary | Victim::Backup => replica.ftrun_pid,
        };
        Process::find(pid).with_context(|| format!("{victim:?}, pid {pid}, has ended"))
    }

    /// SIGKILL to the primary's server, or to its `ftrun`; the server has ended when this returns, as on a machine that dies. One that
    /// outlives its recorder for a moment could serve one more request and write to a file what the survivor writes again.
    pub(crate) fn kill(&mut self, victim: Victim) -> Result<()> {
        self.killed = true;
        let server = self.process(Victim::Server);
        self.process(victim)?.signal(Signal::SIGKILL)?;
        if let (Victim::Server | Victim::Primary, Ok(server)) = (victim, server) {
            poll("the primary's server to end", OFTEN, || Ok((!server.alive()).then_some(())))?;
        }
        Ok(())
    }

    /// Waits until the backup serves alone.
    pub(crate) fn wait_solo(&mut self) -> Result<Status> {
        let mut last = None;
        poll("the backup to be solo", STATUS_INTERVAL, || {
            let exit = self.backup.exit()?;
            ensure!(exit.is_none(), "the backup has ended: {exit:?}");
            last = self.status()?;
            let alone = |status: &&Status| status.replicas.len() == 1 && status.only(Role::Solo).is_some();
            Ok(last.as_ref().filter(alone).cloned())
        })
        .with_context(|| format!("last status: {last:?}"))
    }

    /// Waits for the end of the one that serves, and of the proxy; says how the server has ended.
    pub(crate) fn wait(&mut self) -> Result<Exit> {
        let exit = if self.killed { self.backup.wait()? } else { self.primary.wait()? };
        let other = if self.killed { self.primary.wait()? } else { self.backup.wait()? };
        let proxy = self.proxy.wait()?;
        if self.killed {
            ensure!(matches!(other, Exit::Code(124) | Exit::Signal(9)), "the lost primary ended with {other:?}");
        } else {
            ensure!(other == exit, "the primary ended with {exit:?}, the backup with {other:?}");
        }
        ensure!(proxy == exit, "the server ended with {exit:?}, the proxy with {proxy:?}");
        Ok(exit)
    }

    /// Adds to an error what all three wrote to standard error.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let error = self.proxy.explain(error);
        self.backup.explain(self.primary.explain(error))
    }
}

fn status(state: &Path, directory: &Path) -> Result<Option<Status>> {
    let mut command = ftrun();
    let command = command.args(["status", "--json", "--state-dir"]).arg(state);
    let mut asked = Program::start("status", command, directory)?;
    match asked.wait()? {
        Exit::Code(0) => {}
        Exit::Code(_) => return Ok(None),
        signal => bail!(asked.explain(anyhow::anyhow!("ftrun status: {signal:?}"))),
    }
    let status: Status = serde_json::from_slice(&asked.stdout()?)?;
    status.check()?;
    Ok(Some(status))
}

fn wait_paired(primary: &mut Program, state: &Path, directory: &Path, addresses: &[SocketAddr]) -> Result<Status> {
    let wanted: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let mut last = None;
    let paired = poll("primary and backup to be paired", STATUS_INTERVAL, || {
        let exit = primary.exit()?;
        ensure!(exit.is_none(), "the primary has ended: {exit:?}");
        last = status(state, directory)?;
        let paired = |status: &&Status| {
            status.replicas.len() == 2
                && status.only(Role::Primary).is_some_and(|it| it.server_pid.is_some())
                && status.only(Role::Backup).is_some_and(|it| it.server_pid.is_some())
                && status.proxy.as_ref().is_some_and(|it| wanted.iter().all(|address| it.listen.contains(address)))
        };
        Ok(last.as_ref().filter(paired).cloned())
    });
    paired.with_context(|| format!("last status: {last:?}")).map_err(|error| primary.explain(error))
}

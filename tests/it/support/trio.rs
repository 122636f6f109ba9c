//! A primary, a backup and a proxy, each started by itself as on several machines.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::group::{STATUS_INTERVAL, ftrun};
use super::process::Process;
use super::program::{Exit, Program};
use super::status::{self, Role, Status};
use super::{OFTEN, poll};

/// What all three are told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where state, arbiter and outputs are.
    pub(crate) dir: PathBuf,
    /// The rule that is switched off.
    pub(crate) without: Option<String>,
    /// Milliseconds of silence after which a replica is taken for dead.
    pub(crate) timeout: u64,
    /// Records after which the primary looks at memory; 0: it does not.
    pub(crate) memory_check: u64,
    /// Whether a server that computes tells how far it has come.
    pub(crate) tells_progress: bool,
}

impl Settings {
    /// Everything as it is by default.
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), without: None, timeout: 1000, memory_check: 0, tells_progress: true }
    }

    fn ftrun(&self) -> Command {
        let mut command = ftrun();
        command.arg("--state-dir").arg(self.state());
        command.args(["--timeout", &self.timeout.to_string()]);
        if let Some(rule) = &self.without {
            command.args(["--test-without", rule]);
        }
        command
    }

    fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The directory of the arbiter.
    pub(crate) fn arbiter(&self) -> PathBuf {
        self.dir.join("arbiter")
    }

    /// Starts the proxy, which takes orders at `control`.
    pub(crate) fn proxy(&self, control: SocketAddr) -> Result<Program> {
        let mut command = self.ftrun();
        Program::start("proxy", command.args(["--proxy", "--control", &control.to_string()]), &self.dir)
    }

    /// Starts the backup, which listens and reaches the proxy at these addresses.
    pub(crate) fn backup(&self, listen: SocketAddr, control: SocketAddr) -> Result<Program> {
        let mut command = self.ftrun();
        command.args(["--backup", "--listen", &listen.to_string(), "--control", &control.to_string()]);
        Program::start("backup", &mut command, &self.dir)
    }

    /// Starts the primary, which reaches the others at these addresses.
    pub(crate) fn primary(&self, peer: SocketAddr, control: SocketAddr, server: &[OsString]) -> Result<Program> {
        std::fs::create_dir_all(self.arbiter())?;
        let mut command = self.ftrun();
        command.args(["--peer", &peer.to_string(), "--control", &control.to_string()]);
        command.args(["--memory-check", &self.memory_check.to_string()]);
        if !self.tells_progress {
            command.args(["--progress-interval", "0"]);
        }
        command.arg("--arbiter").arg(format!("file:{}", self.arbiter().display())).arg("--").args(server);
        Program::start("primary", &mut command, &self.dir)
    }
}

/// The three. Dropping it ends them and everything that they started.
#[derive(Debug)]
pub(crate) struct Trio {
    pub(crate) settings: Settings,
    /// The server that the primary runs, once it is known.
    pub(crate) server: Option<Process>,
    pub(crate) primary: Program,
    pub(crate) backup: Program,
    pub(crate) proxy: Program,
}

impl Trio {
    /// The status now; `None` when nothing answers.
    pub(crate) fn status(&self) -> Result<Option<Status>> {
        status::ask(&self.settings.state(), &self.settings.dir)
    }

    /// Waits until a status is what `wanted` says.
    pub(crate) fn wait_status(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Result<Status> {
        let mut last = None;
        poll(what, STATUS_INTERVAL, || {
            last = self.status()?;
            Ok(last.clone().filter(&wanted))
        })
        .with_context(|| format!("last status: {last:?}"))
    }

    /// Waits until the backup is in step and clients can connect to `address`.
    pub(crate) fn wait_paired(&mut self, address: SocketAddr) -> Result<Status> {
        let mut last = None;
        poll("primary and backup to be paired", STATUS_INTERVAL, || {
            for program in [&mut self.primary, &mut self.backup, &mut self.proxy] {
                let exit = program.exit()?;
                ensure!(exit.is_none(), "{program:?} has ended: {exit:?}");
            }
            last = status::ask(&self.settings.state(), &self.settings.dir)?;
            let listens = |it: &status::Proxy| it.listen.contains(&address.to_string());
            let paired = |it: &Status| {
                it.only(Role::Primary).is_some()
                    && it.only(Role::Backup).is_some()
                    && it.proxy.as_ref().is_some_and(listens)
            };
            let found = last.clone().filter(paired);
            let server = found.as_ref().and_then(|it| it.only(Role::Primary)?.server_pid);
            self.server = server.and_then(Process::find);
            Ok(found)
        })
        .with_context(|| format!("last status: {last:?}"))
    }

    /// Waits until exactly one replica is left, and serves alone in the epoch after the first.
    pub(crate) fn wait_solo(&self) -> Result<Status> {
        self.wait_status("one replica to be solo", |it| {
            it.replicas.len() == 1 && it.only(Role::Solo).is_some() && it.epoch == 2
        })
    }

    /// Waits until the server has said `line` on the standard error of the primary.
    pub(crate) fn wait_server(&mut self, line: &str) -> Result<()> {
        let program = &mut self.primary;
        poll(&format!("the server to say \"{line}\""), OFTEN, || {
            if said(program, |it| it == line)? {
                return Ok(Some(()));
            }
            let exit = program.exit()?;
            ensure!(exit.is_none(), "the primary has ended: {exit:?}");
            Ok(None)
        })
    }

    /// SIGKILL to the primary: its server ends with it.
    pub(crate) fn kill_primary(&mut self) -> Result<()> {
        let server = self.server.context("no server")?;
        self.primary.process().signal(Signal::SIGKILL)?;
        let exit = self.primary.wait()?;
        ensure!(exit == Exit::Signal(9), "the killed primary ends with {exit:?}");
        poll("the server to end with its tracer", OFTEN, || Ok((!server.alive()).then_some(())))
    }

    /// Adds what all three wrote to an error.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        self.proxy.explain(self.backup.explain(self.primary.explain(error)))
    }
}

/// Whether a program has written such a line to its standard error.
pub(crate) fn said(program: &Program, wanted: impl Fn(&str) -> bool) -> Result<bool> {
    let text = program.stderr()?;
    Ok(String::from_utf8_lossy(&text).lines().any(wanted))
}

/// Waits until a program has written such a line.
pub(crate) fn wait_said(program: &Program, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
    poll(what, OFTEN, || Ok(said(program, &wanted)?.then_some(())))
}

/// The nanoseconds that a process has been computing: proc_pid_schedstat, first field.
pub(crate) fn computed(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/schedstat");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let Some(first) = text.split_whitespace().next() else { bail!("{path} is empty") };
    first.parse().context(path)
}

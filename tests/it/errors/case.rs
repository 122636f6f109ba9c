//! A directory of its own for each test, and commands that are looked at from all sides when they have ended.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::support::group::ftrun;
use crate::support::process::Process;
use crate::support::program::{Exit, Program};
use crate::support::status::Status;
use crate::support::{OFTEN, launcher, poll};

/// A directory with a state directory in it.
pub(super) struct Case(TempDir);

impl Case {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a scratch directory can be made");
        // Readable for the tests that run as another user.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("its mode can be set");
        Self(dir)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An executable file.
    pub(super) fn program(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a program can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode can be set");
        path
    }

    /// `ftrun --state-dir STATE options`.
    pub(super) fn ftrun<S: AsRef<OsStr>>(&self, options: impl IntoIterator<Item = S>) -> Command {
        let mut command = ftrun();
        command.arg("--state-dir").arg(self.path("state")).args(options);
        command
    }

    /// Starts a command.
    pub(super) fn start(&self, name: &str, command: &mut Command) -> Result<Program> {
        Program::start(name, command, self.0.path())
    }

    /// Runs a command to its end, which must come as said.
    pub(super) fn ends(&self, mut command: Command, exit: Exit, says: &[&str]) -> Result<()> {
        let mut program = self.start("case", &mut command)?;
        self.ended(&mut program, exit, says)
    }

    /// A program ends, by itself, in this way; some line of ftrun holds all of `says`; nothing is left of it.
    pub(super) fn ended(&self, program: &mut Program, exit: Exit, says: &[&str]) -> Result<()> {
        let found = program.wait()?;
        // The backup and the proxy that it started are reaped before it ends, and are not only about to end as well.
        let started: Vec<_> = program.family().iter().map(|it| it.command()).collect();
        let outlived = started.iter().find(|command| command.contains(" --parent-fd "));
        ensure!(outlived.is_none(), "ftrun has ended before {outlived:?}");
        self.looked_at(program, found, exit, says).map_err(|error| program.explain(error))
    }

    fn looked_at(&self, program: &Program, found: Exit, exit: Exit, says: &[&str]) -> Result<()> {
        ensure!(found == exit, "expected {exit:?}, found {found:?}");
        said(program, says)?;
        let stderr = String::from_utf8_lossy(&program.stderr()?).into_owned();
        ensure!(!stderr.contains("panicked"), "a panic");
        self.nothing_left(program)
    }

    /// Neither a process nor a socket is left.
    pub(super) fn nothing_left(&self, program: &Program) -> Result<()> {
        let mut left = Vec::new();
        poll("all processes to end", OFTEN, || {
            left = program.family();
            Ok(left.is_empty().then_some(()))
        })
        .with_context(|| format!("left: {:?}", left.iter().map(|it| it.command()).collect::<Vec<_>>()))?;
        let state = self.path("state");
        for entry in state.read_dir().into_iter().flatten() {
            let name = entry?.file_name();
            ensure!(!name.to_string_lossy().ends_with(".sock"), "{} is left in the state directory", name.display());
        }
        Ok(())
    }

    /// The status of what runs in a state directory; `None` when nothing does.
    pub(super) fn status(&self, state: &Path) -> Result<Option<Status>> {
        let output = ftrun().args(["status", "--json", "--state-dir"]).arg(state).output()?;
        match output.status.code() {
            Some(0) => Ok(Some(serde_json::from_slice(&output.stdout).context("the status is JSON")?)),
            Some(125) => Ok(None),
            _ => bail!("ftrun status: {output:?}"),
        }
    }

    /// Waits for a status.
    pub(super) fn wait_status(
        &self,
        program: &mut Program,
        state: &Path,
        what: &str,
        right: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        poll(what, OFTEN, || Ok(self.status(state)?.filter(&right))).map_err(|error| program.explain(error))
    }

    /// Waits until primary and backup are in step and clients can connect.
    pub(super) fn wait_paired(&self, program: &mut Program, state: &Path) -> Result<Status> {
        self.wait_status(program, state, "a pair that serves", |status| {
            status.replicas.len() == 2 && status.proxy.as_ref().is_some_and(|proxy| !proxy.listen.is_empty())
        })
    }
}

/// Some line of ftrun holds all of `says`.
pub(super) fn said(program: &Program, says: &[&str]) -> Result<()> {
    let stderr = String::from_utf8_lossy(&program.stderr()?).into_owned();
    let says_all = |line: &str| says.iter().all(|part| line.contains(part));
    let mut lines = stderr.lines().filter(|line| line.starts_with("ftrun: ") || line.starts_with("error: "));
    ensure!(says.is_empty() || lines.any(says_all), "no line of ftrun says all of {says:?}");
    Ok(())
}

/// Waits until it is said.
pub(super) fn wait_said(program: &mut Program, says: &[&str]) -> Result<()> {
    let what = format!("ftrun to say {says:?}");
    poll(&what, OFTEN, || Ok(said(program, says).ok())).map_err(|error| program.explain(error))
}

/// The process of a pid in a status.
pub(super) fn process(pid: i32) -> Result<Process> {
    Process::find(pid).with_context(|| format!("process {pid} is gone"))
}

/// A program of `tests/launchers`, compiled into the directory of a test.
pub(super) fn compiled(case: &Case, name: &str, flags: &[&str]) -> PathBuf {
    launcher(name, case.0.path(), flags)
}

/// Fails the test with the whole chain of an error.
pub(super) fn verdict(outcome: Result<()>) {
    if let Err(error) = outcome {
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        panic!("{}", chain.join("\n- because: "));
    }
}

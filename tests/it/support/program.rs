//! A program that a test started. Its output goes to files, so it never blocks on a full pipe, and
//! neither it nor anything that it started outlives the value.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::process::{Process, marked};
use super::{OFTEN, poll};

/// The variable that marks every descendant of a program, so that none is overlooked.
const MARK: &str = "FTRUN_TEST_PROGRAM";

/// How many lines of a program's standard error a failure shows.
const TAIL: usize = 40;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match status.signal() {
            Some(signal) => Self::Signal(signal),
            None => Self::Code(status.code().unwrap_or(-1)),
        }
    }
}

/// A running (or ended) child.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    child: Child,
    process: Process,
    mark: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Program {
    /// Starts `command`; its output goes to `NAME.out` and `NAME.err` in `directory`.
    pub(crate) fn start(name: &str, command: &mut Command, directory: &Path) -> Result<Self> {
        Self::spawn(name, command.stdin(Stdio::null()), directory)
    }

    /// The same, with a pipe as its standard input.
    pub(crate) fn start_fed(name: &str, command: &mut Command, directory: &Path) -> Result<Self> {
        Self::spawn(name, command.stdin(Stdio::piped()), directory)
    }

    fn spawn(name: &str, command: &mut Command, directory: &Path) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let serial = STARTED.fetch_add(1, Ordering::Relaxed);
        let value = format!("{}.{serial}", std::process::id());
        let stdout = directory.join(format!("{name}.out"));
        let stderr = directory.join(format!("{name}.err"));
        let create = |path: &Path| File::create(path).with_context(|| path.display().to_string());
        let mut child = command
            .env(MARK, &value)
            .stdout(create(&stdout)?)
            .stderr(create(&stderr)?)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let pid = i32::try_from(child.id()).context("a pid")?;
        // The child is not reaped yet: its pid names it and no other process.
        let Some(process) = Process::find(pid) else {
            child.kill().ok();
            child.wait().ok();
            anyhow::bail!("{name}: /proc/{pid}/stat cannot be read");
        };
        Ok(Self { name: name.to_owned(), child, process, mark: format!("{MARK}={value}"), stdout, stderr })
    }

    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// It and everything that it started and that still runs.
    pub(crate) fn family(&self) -> Vec<Process> {
        marked(&self.mark)
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn exit(&mut self) -> Result<Option<Exit>> {
        let status = self.child.try_wait().context("wait")?;
        Ok(status.map(Exit::from))
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> Result<Exit> {
        let what = format!("{} to end", self.name);
        poll(&what, OFTEN, || self.exit()).map_err(|error| self.explain(error))
    }

    /// Sends SIGTERM and waits.
    pub(crate) fn terminate(&mut self) -> Result<Exit> {
        self.process.signal(Signal::SIGTERM)?;
        self.wait()
    }

    /// Writes to its standard input.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.stdin()?.write_all(bytes);
        written.map_err(|error| self.explain(error.into()))
    }

    fn stdin(&mut self) -> Result<&mut ChildStdin> {
        let stdin = self.child.stdin.as_mut();
        stdin.with_context(|| format!("{} has no standard input", self.name))
    }

    /// Closes its standard input.
    pub(crate) fn end_input(&mut self) {
        self.child.stdin = None;
    }

    pub(crate) fn stdout(&self) -> Result<Vec<u8>> {
        fs::read(&self.stdout).with_context(|| self.stdout.display().to_string())
    }

    pub(crate) fn stderr(&self) -> Result<Vec<u8>> {
        fs::read(&self.stderr).with_context(|| self.stderr.display().to_string())
    }

    /// Waits until `enough` holds for what it has written to its standard output.
    pub(crate) fn wait_stdout(&mut self, what: &str, enough: impl Fn(&[u8]) -> bool) -> Result<()> {
        let what = format!("{} to print {what}", self.name);
        poll(&what, OFTEN, || {
            // In this order: what it printed just before it ended counts.
            let exit = self.exit()?;
            if enough(&self.stdout()?) {
                return Ok(Some(()));
            }
            ensure!(exit.is_none(), "{} has ended: {exit:?}", self.name);
            Ok(None)
        })
        .map_err(|error| self.explain(error))
    }

    /// Adds what it wrote to its standard error to an error: the messages of `ftrun`, then the end
    /// of everything.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let bytes = self.stderr().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let last = |lines: Vec<&str>| {
            let from = lines.len().saturating_sub(TAIL);
            lines[from..].join("\n  ")
        };
        let all = last(text.lines().collect());
        let own: Vec<_> = text.lines().filter(|it| it.starts_with("ftrun:")).collect();
        let own = match own.len() {
            0 => String::new(),
            _ => format!("messages of ftrun:\n  {}\n", last(own)),
        };
        error.context(format!("{own}standard error of {}:\n  {all}", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end_input();
        // A process may start another one between the look and the signal: look again.
        let gone = poll("the processes of a test to end", OFTEN, || {
            self.exit()?;
            let mut family = self.family();
            family.extend(Some(self.process).filter(|process| process.alive()));
            for process in &family {
                process.signal(Signal::SIGKILL)?;
            }
            Ok(family.is_empty().then_some(()))
        });
        if let Err(error) = gone {
            eprintln!("{}: {error:#}", self.name);
        }
        self.child.wait().ok();
    }
}

//! A process named by its pid and its start time: a pid that the kernel has given to another
//! process is never mistaken for it, and never killed.

use std::fs;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One process, alive or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    /// Clock ticks after boot, field 22 of proc_pid_stat(5).
    started: u64,
}

impl Process {
    /// The process that has `pid` now; `None` if there is none.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let (_, started) = stat(pid)?;
        Some(Self { pid, started })
    }

    pub(crate) fn pid(self) -> i32 {
        self.pid
    }

    /// Whether it still runs. A zombie has ended: who reaps it is not this test's business. Its first thread is one already while others
    /// still hold what the process has open.
    pub(crate) fn alive(self) -> bool {
        let threads = || std::fs::read_dir(format!("/proc/{}/task", self.pid)).map_or(0, Iterator::count);
        matches!(stat(self.pid), Some((state, started))
            if started == self.started && (!matches!(state, 'Z' | 'X') || threads() > 1))
    }

    /// Its state as of proc_pid_stat(5); `None` when it is gone.
    pub(crate) fn state(self) -> Option<char> {
        stat(self.pid).filter(|(_, started)| *started == self.started).map(|(state, _)| state)
    }

    /// Sends `signal`; a process that is gone is no error.
    pub(crate) fn signal(self, signal: Signal) -> Result<()> {
        if !self.alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("{signal} to process {}", self.pid)),
        }
    }

    /// Its command line, for messages.
    pub(crate) fn command(self) -> String {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        words.join(" ")
    }

    /// How many threads and children it has: a server under test has one and none.
    pub(crate) fn threads_and_children(self) -> Result<(usize, usize)> {
        let directory = format!("/proc/{}/task", self.pid);
        let threads = fs::read_dir(&directory).context(directory)?.count();
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        let children = fs::read_to_string(&path).context(path)?;
        Ok((threads, children.split_whitespace().count()))
    }
}

/// Every running process whose environment holds `mark`.
pub(crate) fn marked(mark: &str) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::find)
        .filter(|process| {
            let environment = fs::read(format!("/proc/{}/environ", process.pid));
            environment.is_ok_and(|bytes| bytes.split(|b| *b == 0).any(|v| v == mark.as_bytes()))
        })
        .filter(|process| process.alive())
        .collect()
}

/// State and start time of proc_pid_stat(5).
fn stat(pid: i32) -> Option<(char, u64)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses: the fields follow the last one.
    let mut fields = line.get(line.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

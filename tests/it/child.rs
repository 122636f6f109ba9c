//! Children with a deadline. When [`run`] returns or panics, the child has ended and is reaped, and so have the
//! processes of its group that it left behind.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// How long a child may run, unless its test says something else.
const DEADLINE: Duration = Duration::from_secs(90);
/// How long its output may stay open after its end: only a process that it left behind can hold it.
const OUTPUT_DEADLINE: Duration = Duration::from_secs(5);
/// Lines of each output that a failure shows.
const TAIL_LINES: usize = 25;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// A child that has ended.
pub(crate) struct Ended {
    command: String,
    pub(crate) outcome: Outcome,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ended {
    /// Panics with what is wrong, what was run, how it ended and the ends of its outputs.
    #[track_caller]
    pub(crate) fn fail(&self, wrong: &str) -> ! {
        panic!(
            "{wrong}\n{} ended by {:?}, its last lines on stderr:\n{}\nand on stdout:\n{}",
            self.command,
            self.outcome,
            tail(&self.stderr),
            tail(&self.stdout)
        );
    }

    /// Panics unless it ended this way.
    #[track_caller]
    pub(crate) fn expect(&self, expected: Outcome) {
        if self.outcome != expected {
            self.fail(&format!("expected {expected:?}, found {:?}", self.outcome));
        }
    }

    /// The lines on standard error, invalid UTF-8 replaced.
    pub(crate) fn stderr_lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.stderr).lines().map(str::to_owned).collect()
    }
}

/// The last lines of an output.
fn tail(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A child that is not reaped yet: until then neither its pid nor its group's number can belong to anyone else.
struct Unreaped(Option<Child>);

impl Unreaped {
    fn reap(mut self) -> ExitStatus {
        let mut child = self.0.take().expect("a child is reaped once");
        child.wait().expect("a child that has ended can be waited for")
    }
}

impl Drop for Unreaped {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // An error says that there is no such process any more.
            let _ = killpg(group(child), Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

fn group(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"))
}

/// Runs a command to its end.
///
/// Panics if it cannot be started, runs longer than [`DEADLINE`] or leaves a process that holds its output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    run_within(DEADLINE, command)
}

/// [`run`] with a deadline of its own.
#[track_caller]
pub(crate) fn run_within(deadline: Duration, command: &mut Command) -> Ended {
    start(command).end_within(deadline)
}

/// A child that runs.
pub(crate) struct Running {
    described: String,
    unreaped: Unreaped,
    pid: Pid,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    /// Bytes on standard output so far.
    progress: Arc<AtomicUsize>,
}

/// Starts a command, in a process group of its own.
///
/// Panics if it cannot be started.
#[track_caller]
pub(crate) fn start(command: &mut Command) -> Running {
    let described = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {described}: {error}"));
    let progress = Arc::new(AtomicUsize::new(0));
    let stdout = collect(child.stdout.take(), Arc::clone(&progress));
    let stderr = collect(child.stderr.take(), Arc::default());
    let pid = group(&child);
    Running { described, unreaped: Unreaped(Some(child)), pid, stdout, stderr, progress }
}

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How many bytes it has written to standard output.
    pub(crate) fn written(&self) -> usize {
        self.progress.load(Ordering::SeqCst)
    }

    /// Waits for its end.
    ///
    /// Panics if it runs longer than [`DEADLINE`] or leaves a process that holds its output.
    #[track_caller]
    pub(crate) fn end(self) -> Ended {
        self.end_within(DEADLINE)
    }

    #[track_caller]
    fn end_within(self, deadline: Duration) -> Ended {
        let Self { described, unreaped, pid, stdout, stderr, .. } = self;
        wait(described, unreaped, pid, deadline, &stdout, &stderr)
    }
}

#[track_caller]
fn wait(
    described: String,
    unreaped: Unreaped,
    pid: Pid,
    deadline: Duration,
    stdout: &Receiver<Vec<u8>>,
    stderr: &Receiver<Vec<u8>>,
) -> Ended {
    let (ended, has_ended) = channel();
    thread::spawn(move || {
        // WNOWAIT: it stays unreaped, so that the group can still be killed by its number.
        let _ = ended.send(waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT));
    });
    let Ok(waited) = has_ended.recv_timeout(deadline) else {
        drop(unreaped);
        let stderr = stderr.recv_timeout(OUTPUT_DEADLINE).unwrap_or_default();
        panic!("{described} still ran after {deadline:?} and was killed, its last lines on stderr:\n{}", tail(&stderr));
    };
    waited.unwrap_or_else(|error| panic!("cannot wait for {described}: {error}"));
    let held = "it left a process behind that holds its output";
    let stdout = stdout.recv_timeout(OUTPUT_DEADLINE).unwrap_or_else(|_| panic!("{described}: {held}"));
    let stderr = stderr.recv_timeout(OUTPUT_DEADLINE).unwrap_or_else(|_| panic!("{described}: {held}"));
    let status = unreaped.reap();
    let outcome = match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exit(code),
        (None, Some(signal)) => Outcome::Signal(signal),
        (None, None) => panic!("{described} ended without a status: {status}"),
    };
    Ended { command: described, outcome, stdout, stderr }
}

/// Reads a stream to its end in the background.
fn collect(stream: Option<impl Read + Send + 'static>, progress: Arc<AtomicUsize>) -> Receiver<Vec<u8>> {
    let mut stream = stream.expect("the stream is a pipe");
    let (done, all) = channel();
    thread::spawn(move || {
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        while let Ok(length @ 1..) = stream.read(&mut piece) {
            bytes.extend_from_slice(&piece[..length]);
            progress.store(bytes.len(), Ordering::SeqCst);
        }
        // Nobody listens any more if the test has failed.
        let _ = done.send(bytes);
    });
    all
}

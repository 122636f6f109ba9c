//! Signals from outside, at random moments: wherever they hit, a replay delivers them at the same place. The guest mixes
//! every signal into what it computes, so that all its later output shows where that was.
//!
//! `FTRUN_SEED` repeats the draw that a failure prints.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::child::{Ended, Outcome, Running, run, start};
use crate::guest::{FTRUN, Guest, command};
use crate::support::process::{Process, marked};
use crate::support::rng::{self, Rng};
use crate::support::{OFTEN, poll};

/// Signals that are sent to one recording.
const SIGNALS: usize = 100;
/// The longest pause between two of them.
const PAUSE: Duration = Duration::from_millis(3);

/// A recording under way.
struct Recording {
    scratch: TempDir,
    ftrun: Running,
    server: Process,
}

impl Recording {
    fn start(name: &str) -> Self {
        let guest = Guest::built(name);
        let scratch = tempfile::tempdir().expect("a scratch directory can be made");
        let mut record = command(Path::new(FTRUN), scratch.path(), None);
        let ftrun = start(record.args(["record", "-o"]).arg(scratch.path().join("log")).arg("--").arg(&guest.program));
        let server = traced_by(&ftrun);
        let recording = Self { scratch, ftrun, server };
        recording.goes_on();
        recording
    }

    /// Waits until the guest has written more than it has now.
    fn goes_on(&self) {
        let before = self.ftrun.written();
        poll("the guest to go on", OFTEN, || Ok((self.ftrun.written() > before).then_some(())))
            .expect("the guest goes on");
    }

    fn send(&self, signal: Signal) {
        self.server.signal(signal).expect("a signal can be sent to the server");
    }

    /// Ends the guest, and replays what it did.
    fn replays(self) {
        self.send(Signal::SIGTERM);
        let recorded = self.ftrun.end();
        recorded.expect(Outcome::Exit(0));
        let replayed = run(&mut replay(&self.scratch));
        identical(&recorded, &replayed);
    }
}

fn replay(scratch: &TempDir) -> Command {
    let mut ftrun = command(Path::new(FTRUN), scratch.path(), None);
    ftrun.arg("replay").arg(scratch.path().join("log"));
    ftrun
}

/// The one process that ftrun has started.
fn traced_by(ftrun: &Running) -> Process {
    poll("the server process", OFTEN, || {
        let tasks = format!("/proc/{}/task", ftrun.pid());
        let children =
            fs::read_dir(tasks)?.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
        let pids: Vec<i32> = children
            .flat_map(|line| line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            .collect();
        Ok(pids.first().and_then(|&pid| Process::find(pid)))
    })
    .expect("ftrun has a child")
}

fn identical(recorded: &Ended, replayed: &Ended) {
    replayed.expect(Outcome::Exit(0));
    let last = replayed.stderr_lines().pop().unwrap_or_default();
    if !(last.starts_with("replayed ") && last.ends_with(" records, identical")) {
        replayed.fail("the last line on stderr is not `replayed N records, identical`");
    }
    if recorded.stdout != replayed.stdout {
        replayed.fail("the replay's output differs from what was recorded");
    }
}

/// Lets a random time pass that is too short to sleep.
fn pause(random: &mut Rng) {
    let end = Instant::now() + Duration::from_nanos(random.below(PAUSE.subsec_nanos().into()));
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

#[test]
fn signals_from_outside_hit_the_same_place() {
    let seed = rng::seed().expect("a seed");
    println!("FTRUN_SEED={seed}");
    let mut random = Rng::new(seed);
    let recording = Recording::start("driven/beaten");
    for _ in 0..SIGNALS {
        let signal = if random.below(4) == 0 { Signal::SIGUSR2 } else { Signal::SIGUSR1 };
        recording.send(signal);
        pause(&mut random);
    }
    recording.goes_on();
    recording.replays();
}

/// A state of the server's, from /proc/PID/status.
fn status(server: Process, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server is there");
    let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("a field of /proc/PID/status");
    line.trim().to_owned()
}

fn is_pending(server: Process, signal: Signal) -> bool {
    let set = |field| u64::from_str_radix(&status(server, field), 16).expect("a set of signals");
    (set("ShdPnd:") | set("SigPnd:")) & (1 << (signal as i32 - 1)) != 0
}

#[test]
fn a_stopped_server_loses_nothing() {
    let recording = Recording::start("driven/beaten");
    for round in 0..5 {
        recording.send(Signal::SIGSTOP);
        let server = recording.server;
        // While it runs it takes a signal at once; stopped, it leaves it pending.
        recording.send(Signal::SIGUSR1);
        let mut looks = 0;
        poll("the server to stop", OFTEN, || {
            let stopped = !is_pending(server, Signal::SIGSTOP) && is_pending(server, Signal::SIGUSR1);
            looks = if stopped { looks + 1 } else { 0 };
            if !stopped && !is_pending(server, Signal::SIGUSR1) {
                recording.send(Signal::SIGUSR1);
            }
            Ok((looks == 3).then_some(()))
        })
        .unwrap_or_else(|error| panic!("round {round}: {error:#}"));
        recording.send(Signal::SIGCONT);
        recording.goes_on();
    }
    recording.replays();
}

#[test]
fn a_replica_that_is_stopped_or_sent_signals_does_not_care() {
    let recording = Recording::start("driven/beaten");
    (0..30).for_each(|_| recording.goes_on());
    recording.send(Signal::SIGTERM);
    let recorded = recording.ftrun.end();
    recorded.expect(Outcome::Exit(0));
    let replaying = start(&mut replay(&recording.scratch));
    let replica = traced_by(&replaying);
    // From here on it is a replica; before it was the beginning of any process.
    poll("the replay to begin", OFTEN, || Ok((replaying.written() > 0).then_some(()))).expect("the replay begins");
    let signals = [Signal::SIGSTOP, Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGINT, Signal::SIGSEGV, Signal::SIGCONT];
    let mut sent = 0;
    while replica.alive() && sent < 600 {
        replica.signal(signals[sent % signals.len()]).expect("a signal can be sent to the replica");
        sent += 1;
        std::thread::yield_now();
    }
    replica.signal(Signal::SIGCONT).expect("a signal can be sent to the replica");
    identical(&recorded, &replaying.end());
}

#[test]
fn a_killed_server_leaves_a_log_up_to_its_death() {
    let recording = Recording::start("driven/beaten");
    recording.send(Signal::SIGUSR1);
    recording.goes_on();
    recording.send(Signal::SIGKILL);
    let recorded = recording.ftrun.end();
    recorded.expect(Outcome::Signal(libc::SIGKILL));
    let replayed = run(&mut replay(&recording.scratch));
    replayed.expect(Outcome::Exit(0));
    assert!(recorded.stdout.starts_with(&replayed.stdout), "a replay writes what was not recorded");
    assert!(!replayed.stdout.is_empty(), "nothing was replayed");
}

/// A signal that comes while the server computes is delivered at its next call: were that to wait first, it would wait for good.
#[test]
fn a_signal_before_a_wait_ends_the_wait() {
    let guest = Guest::built("driven/looks");
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let mut record = command(Path::new(FTRUN), scratch.path(), None);
    let ftrun = start(record.args(["record", "-o"]).arg(scratch.path().join("log")).arg("--").arg(&guest.program));
    poll("the guest to compute", OFTEN, || Ok((ftrun.written() > 0).then_some(()))).expect("the guest computes");
    traced_by(&ftrun).signal(Signal::SIGTERM).expect("a signal can be sent to the server");
    let recorded = ftrun.end();
    recorded.expect(Outcome::Exit(0));
    identical(&recorded, &run(&mut replay(&scratch)));
}

#[test]
fn a_signal_to_ftrun_goes_to_the_server() {
    let recording = Recording::start("driven/beaten");
    kill(Pid::from_raw(recording.ftrun.pid()), Signal::SIGTERM).expect("ftrun runs");
    recording.ftrun.end().expect(Outcome::Exit(0));
}

#[test]
fn a_second_thread_ends_the_recording_and_leaves_no_process() {
    let guest = Guest::built("driven/thread");
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let mark = format!("FTRUN_TEST_MARK={}", scratch.path().display());
    let mut record = command(Path::new(FTRUN), scratch.path(), None);
    let (name, value) = mark.split_once('=').expect("a mark has a name");
    record.env(name, value).args(["record", "-o"]).arg(scratch.path().join("log")).arg("--").arg(&guest.program);
    let recorded = run(&mut record);
    recorded.expect(guest.outcome);
    assert_eq!(recorded.stdout, b"one thread\n");
    if !recorded.stderr_lines().iter().any(|line| line.starts_with("ftrun:") && line.contains("second thread")) {
        recorded.fail("it does not say why it ended");
    }
    assert_eq!(marked(&mark), [], "processes are left");
}

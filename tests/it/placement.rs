//! Signals that are delivered between two calls: storms of them into code that makes none, recorded and replayed. What a handler
//! sees of the code that it interrupts goes into the output, so a position that is off by one instruction is seen.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use crate::child::{Outcome, run};
use crate::guest::{FTRUN, Guest, command};

/// Ticks of a storm; several are delivered at one position, one behind the other.
const TICKS: u32 = 700;
/// Positions of a storm, in as many runs as that takes: all storms together come to more than a thousand.
const POSITIONS: usize = 130;

/// How many signals of a recording stand at a position of their own.
fn placed(log: &Path) -> usize {
    let dump = run(Command::new(FTRUN).args(["dump", "--json"]).arg(log));
    dump.expect(Outcome::Exit(0));
    let text = String::from_utf8(dump.stdout.clone()).expect("the dump is text");
    let records = text.lines().map(|line| serde_json::from_str(line).expect("a line of the dump is JSON"));
    records.filter(|record: &serde_json::Value| record["kind"] == "signal" && record["result"] == 2).count()
}

/// A deadline at which most signals of a storm are too early for a call.
const SHORT: &[&str] = &["--signal-deadline", "1"];

/// Records, replays, compares; says how many positions there were.
fn recorded_and_replayed(server: &[OsString], options: &[&str]) -> usize {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let log = scratch.path().join("log");
    let mut record = command(Path::new(FTRUN), scratch.path(), None);
    record.arg("record").args(options).arg("-o").arg(&log).arg("--").args(server);
    let recorded = run(&mut record);
    recorded.expect(Outcome::Exit(0));
    let replayed = run(command(Path::new(FTRUN), scratch.path(), None).arg("replay").arg(&log));
    replayed.expect(Outcome::Exit(0));
    if !replayed.stderr_lines().last().is_some_and(|last| last.ends_with(" records, identical")) {
        replayed.fail("the last line on stderr is not `replayed N records, identical`");
    }
    if replayed.stdout != recorded.stdout {
        replayed.fail(&format!("the recorded run printed {}", recorded.stdout.escape_ascii()));
    }
    placed(&log)
}

fn storm(kind: &str) {
    let guest = Guest::built("placed/storm");
    let server = [guest.program.as_os_str(), OsStr::new(kind), OsStr::new(&TICKS.to_string())].map(OsStr::to_owned);
    let (mut positions, mut runs) = (0, 0);
    while positions < POSITIONS {
        positions += recorded_and_replayed(&server, SHORT);
        runs += 1;
        assert!(runs < 20, "{kind}: {TICKS} ticks in each of {runs} runs, at {positions} positions");
    }
    eprintln!("{kind}: {positions} positions in {runs} runs");
}

macro_rules! storms {
    ($($name:ident)*) => {
        $(#[test] fn $name() { storm(stringify!($name)); })*
    };
}

storms! { memory registers strings x87 vectors recursion spin trees }

/// An interpreter, whose loops differ in what lies deep in its memory only.
#[test]
fn interpreter() {
    const PROGRAM: &str = "import signal
ticks, mixed, i, table = 0, 0, 0, {}
def tick(number, frame):
    global ticks, mixed
    ticks, mixed = ticks + 1, (mixed * 31 + i) & 0xffffffff
signal.signal(signal.SIGALRM, tick)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
while ticks < 60:
    i += 1
    table[i % 1000] = table.get(i % 999, 0) + i
signal.setitimer(signal.ITIMER_REAL, 0)
print(ticks, mixed, sum(table.values()))
";
    let server = ["/usr/bin/python3", "-c", PROGRAM].map(OsString::from);
    let positions = recorded_and_replayed(&server, SHORT);
    assert!(positions >= 10, "{positions} positions");
}

/// With the usual deadline too a server that makes no call gets its signals.
#[test]
fn a_signal_does_not_wait_for_a_call_for_long() {
    let guest = Guest::built("placed/storm");
    let server = [guest.program.as_os_str(), OsStr::new("spin"), OsStr::new("3")].map(OsStr::to_owned);
    assert!(recorded_and_replayed(&server, &[]) >= 1, "a spin on a flag ends by a signal between two calls");
}

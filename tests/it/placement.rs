//! Signals that are delivered between two calls: storms of them into code that makes none, recorded and replayed. What a handler
//! sees of the code that it interrupts goes into the output, so a position that is off by one instruction is seen.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::child::{Ended, Outcome, run};
use crate::guest::{FTRUN, Guest, command, lua_module};
use crate::support::group::{Group, Victim};
use crate::support::program::Program;
use crate::support::status::Role;
use crate::support::wire::Wire;
use crate::support::{OFTEN, free_address, listening, poll, skip, verdict};

/// Ticks of a storm; several are delivered at one position, one behind the other.
const TICKS: u32 = 700;
/// Positions of a storm, in as many runs as that takes: all storms together come to more than a thousand.
const POSITIONS: usize = 130;

/// How many signals of a recording stand at a position of their own.
fn placed(log: &Path) -> usize {
    numbers(log, |record| record["kind"] == "signal" && record["result"] == 2).len()
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
    replayed(&recorded, scratch.path(), &log, &[]);
    placed(&log)
}

/// Replays what was recorded, compares, and gives what was said to standard error.
fn replayed(recorded: &Ended, home: &Path, log: &Path, options: &[&str]) -> String {
    let replayed = run(command(Path::new(FTRUN), home, None).arg("replay").args(options).arg(log));
    replayed.expect(Outcome::Exit(0));
    let said = replayed.stderr_lines();
    if !said.last().is_some_and(|last| last.ends_with(" records, identical")) {
        replayed.fail("the last line on stderr is not `replayed N records, identical`");
    }
    if replayed.stdout != recorded.stdout {
        replayed.fail(&format!("the recorded run printed {}", recorded.stdout.escape_ascii()));
    }
    said.join("\n")
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

storms! { memory registers strings x87 recursion spin trees mapped }

/// In the widest registers that there are.
#[test]
fn vectors() {
    if !is_x86_feature_detected!("avx512f") {
        skip("placement::vectors", "no AVX-512 here: with AVX2 instead");
    }
    storm("vectors");
}

/// In a program that the server has become.
#[test]
fn after_exec() {
    storm("exec-registers");
}

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

/// One that runs its handler when its own loop comes to look.
#[test]
fn interpreter_perl() {
    const PROGRAM: &str = "use Time::HiRes qw(setitimer ITIMER_REAL);
my ($ticks, $mixed, $i, %table) = (0, 0, 0);
$SIG{ALRM} = sub { $ticks++; $mixed = ($mixed * 31 + $i) & 0xffffffff };
setitimer(ITIMER_REAL, 0.005, 0.005);
while ($ticks < 60) { $i++; $table{ $i % 1000 } = ($table{ $i % 999 } // 0) + $i }
setitimer(ITIMER_REAL, 0);
print \"$ticks $mixed $i $table{7}\\n\";
";
    let server = ["/usr/bin/perl", "-e", PROGRAM].map(OsString::from);
    let positions = recorded_and_replayed(&server, SHORT);
    assert!(positions >= 10, "{positions} positions");
}

/// One with a handler in C, which sees the registers of the interpreter's loop.
#[test]
fn interpreter_lua() {
    const PROGRAM: &str = "local i, list = 0, {}
for n = 1, 1000 do list[n] = n end
package.loadlib(arg[1], 'luaopen_storm')()
print(pcall(function() while true do i = i + 1; list[i % 1000 + 1] = list[i % 999 + 1] + i * 0.5 end end))
print(i, list[7])
";
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let program = scratch.path().join("storm.lua");
    std::fs::write(&program, PROGRAM).expect("a scratch directory can be written to");
    let server = [OsString::from("/usr/bin/lua5.4"), program.into(), lua_module().into()];
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

/// In the line by which a replica tells how it came to its positions.
const WAY: &str = "positions between two calls";

/// How a replica came to its positions: how many there were, to how many it counted most of the way, how many of these it went past and
/// was set back, and how often it stopped.
fn ways(said: &str) -> [u64; 4] {
    let line = said.lines().find(|line| line.contains(WAY)).expect("the replica tells of its way");
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    let numbers: Vec<u64> = numbers.collect();
    // "... positions between two calls: the way to ... counted, ... of them gone too far and back; ... stops".
    [numbers[0], numbers[1], numbers[2], numbers[3]]
}

/// Whether a source stops no later than it says: `step:SKID`, `breakpoint:ADDRESS:SKID`, and not with another number behind that.
fn is_kept(ticks: &str) -> bool {
    ticks.split(':').count() == if ticks.starts_with("step") { 2 } else { 3 }
}

/// A storm whose signals wait for so long.
#[derive(Clone, Copy)]
struct Storm<'a> {
    kind: &'a str,
    ticks: u64,
    each: Duration,
    deadline: Duration,
}

/// A replica that counts looks where it is at the end of its way only, and one that does not comes to the same places. On a busy machine
/// positions can lie too near to each other to be counted: such a run shows the latter alone, and the next has more time between them.
fn counted(ticks: &str, storm: Storm) {
    let mut seen = Vec::new();
    for slower in [1, 3, 9] {
        let way @ [positions, counted, undone, stops] = counted_once(ticks, storm, slower);
        if is_kept(ticks) {
            assert_eq!(undone, 0, "{positions} positions, the way to {counted} was counted");
        }
        seen.push(way);
        if positions >= 3 && counted * 2 >= positions {
            if is_kept(ticks) {
                assert!(stops <= 3 * positions, "{stops} stops on the way to {positions} positions");
            } else {
                assert!(undone >= 1, "{positions} positions, the way to {counted} was counted and none gone past");
            }
            return;
        }
    }
    panic!("too few positions were counted, in runs of so many positions, counted, undone, stops: {seen:?}");
}

/// Records and replays it, with so many times the time; how the replica came to its positions.
fn counted_once(ticks: &str, storm: Storm, slower: u32) -> [u64; 4] {
    let guest = Guest::built("placed/storm");
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let log = scratch.path().join("log");
    let mut record = command(Path::new(FTRUN), scratch.path(), None);
    // Calls made in process would be between two stops.
    record.args(["record", "--layer", "complete", "--ticks", ticks]);
    record.args(["--signal-deadline", &(storm.deadline * slower).as_millis().to_string(), "-o"]).arg(&log);
    record.arg("--").arg(&guest.program).arg(storm.kind);
    record.args([storm.ticks.to_string(), (storm.each * slower).as_micros().to_string()]);
    let recorded = run(&mut record);
    recorded.expect(Outcome::Exit(0));
    let way = ways(&replayed(&recorded, scratch.path(), &log, &["--ticks", ticks]));
    let [positions, uncounted, ..] = ways(&replayed(&recorded, scratch.path(), &log, &["--ticks", "none"]));
    assert_eq!((positions, uncounted), (way[0], 0), "without ticks");
    way
}

/// Where a function of a guest is when it runs: nothing is laid out by chance under ftrun.
fn address_of(guest: &Path, function: &str) -> u64 {
    const BASE: u64 = 0x5555_5555_4000;
    let symbols = run(Command::new("nm").arg(guest));
    symbols.expect(Outcome::Exit(0));
    let text = String::from_utf8_lossy(&symbols.stdout).into_owned();
    let line = text.lines().find(|line| line.ends_with(&format!(" {function}"))).expect("the guest has the function");
    let address = line.split(' ').next().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    BASE + address.expect("nm prints addresses")
}

/// The kernel counts executions of one instruction, and stops the replica late by chance.
fn by_breakpoint(skid: &str, deadline: Duration, ticks: u64) {
    let guest = Guest::built("placed/storm");
    let source = format!("breakpoint:{:#x}:{skid}", address_of(&guest.program, "fibonacci"));
    counted(&source, Storm { kind: "recursion", ticks, each: Duration::from_millis(1), deadline });
}

#[test]
fn passes_are_counted_exactly() {
    by_breakpoint("0", Duration::from_millis(20), 60);
}

#[test]
fn passes_are_counted_and_the_stop_is_late() {
    by_breakpoint("100", Duration::from_millis(20), 60);
}

#[test]
fn passes_are_counted_and_the_stop_is_very_late() {
    by_breakpoint("10000", Duration::from_millis(400), 1500);
}

/// A stop that is later than any that was told of: what the server did behind the position is undone.
#[test]
fn passes_are_counted_and_a_stop_too_late_is_undone() {
    by_breakpoint("10000:10", Duration::from_millis(20), 60);
}

/// Single steps count conditional branches. They are slow: so are the signals.
const BY_STEPS: Storm =
    Storm { kind: "trees", ticks: 6, each: Duration::from_millis(100), deadline: Duration::from_millis(20) };

#[test]
fn branches_are_counted_exactly() {
    counted("step:0", BY_STEPS);
}

#[test]
fn branches_are_counted_and_the_stop_is_late() {
    counted("step:100", BY_STEPS);
}

#[test]
fn branches_are_counted_and_a_stop_too_late_is_undone() {
    counted("step:1000:0", BY_STEPS);
}

/// With four seconds between two positions.
#[test]
fn branches_are_counted_and_the_stop_is_very_late() {
    counted(
        "step:10000",
        Storm { ticks: 11, each: Duration::from_secs(1), deadline: Duration::from_secs(4), ..BY_STEPS },
    );
}

/// Memory that the replica shares with its own copy.
#[test]
fn a_stop_too_late_is_undone_in_shared_memory() {
    counted("step:500:0", Storm { kind: "mapped", ..BY_STEPS });
}

#[test]
fn the_processors_counter_counts() {
    if tracer::ticks::Pmu::find().is_none() {
        return skip(
            "placement::the_processors_counter_counts",
            "no event of this processor counts conditional branches",
        );
    }
    let millisecond = Duration::from_millis(1);
    counted("auto", Storm { kind: "memory", ticks: 700, each: millisecond, deadline: millisecond });
}

/// The records of a log of which `is` says so, by number.
fn numbers(log: &Path, is: impl Fn(&serde_json::Value) -> bool) -> Vec<usize> {
    let dump = run(Command::new(FTRUN).args(["dump", "--json"]).arg(log));
    dump.expect(Outcome::Exit(0));
    let text = String::from_utf8(dump.stdout.clone()).expect("the dump is text");
    let records = text.lines().map(|line| serde_json::from_str(line).expect("a line of the dump is JSON"));
    records.enumerate().filter(|(_, record)| is(record)).map(|(number, _)| number).collect()
}

/// A computing server leaves positions in its log. A replica can go live at each of them, and one that has all of the log passes them over.
#[test]
fn a_log_tells_how_far_a_computing_server_has_come() {
    let guest = Guest::built("placed/computing");
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let log = scratch.path().join("log");
    let mut record = command(Path::new(FTRUN), scratch.path(), None);
    record.args(["record", "--progress-interval", "40", "-o"]).arg(&log).arg("--").arg(&guest.program);
    let recorded = run(record.args(["0", "100000000"]));
    recorded.expect(Outcome::Exit(0));
    replayed(&recorded, scratch.path(), &log, &[]);
    let positions = numbers(&log, |record| record["kind"] == "position");
    assert!(positions.len() >= 3, "positions: {positions:?}");
    for number in positions.into_iter().take(4) {
        let mut live = command(Path::new(FTRUN), scratch.path(), None);
        let lived = run(live.args(["replay", "--test-live-after", &(number + 1).to_string()]).arg(&log));
        lived.expect(Outcome::Exit(0));
        assert_eq!(lived.stdout, recorded.stdout, "live after record {number}");
    }
    let mut record = command(Path::new(FTRUN), scratch.path(), None);
    let log = scratch.path().join("without");
    record.args(["record", "--progress-interval", "0", "-o"]).arg(&log).arg("--").arg(&guest.program);
    run(record.args(["0", "100000000"])).expect(Outcome::Exit(0));
    assert!(numbers(&log, |record| record["kind"] == "position").is_empty());
}

/// While a server computes its replica does so too, and goes on from there when the primary dies.
#[test]
fn a_replica_follows_a_server_that_computes() {
    verdict(follows_in_time(Duration::from_millis(50), &[], 2).map(drop));
}

/// The same with a counter that stops it too late.
#[test]
fn a_replica_that_was_set_back_takes_over() {
    let guest = Guest::built("placed/computing");
    let source = format!("breakpoint:{:#x}:300:0", address_of(&guest.program, "mark"));
    // One that goes each way twice must not be so late that it passes over all but the first position.
    let follows = follows_in_time(Duration::from_millis(300), &["--ticks", &source], 1).and_then(|said| {
        let [positions, counted, undone, _] = ways(&said);
        ensure!(undone >= 1, "{positions} positions, the way to {counted} was counted and none gone past");
        Ok(())
    });
    verdict(follows);
}

/// Gives what was said to standard error, when the primary was killed behind so many positions, which come in an interval. On a busy machine
/// the answer can come before: the server then has more to compute.
fn follows_in_time(interval: Duration, options: &[&str], positions: usize) -> Result<String> {
    for rounds in [3_000_000_000, 4_500_000_000, 6_000_000_000] {
        if let Some(said) = follows(interval, options, positions, rounds)?
            && said.contains(WAY)
        {
            return Ok(said);
        }
    }
    bail!("each time the answer came before the replica had come to {positions} positions")
}

/// `None` if the answer comes before the primary could be killed.
fn follows(interval: Duration, options: &[&str], positions: usize, rounds: u64) -> Result<Option<String>> {
    let request = format!("{rounds}\n").into_bytes();
    let guest = Guest::built("placed/computing");
    let scratch = tempfile::tempdir()?;
    let native = free_address()?;
    let server = |address: std::net::SocketAddr| -> Vec<OsString> {
        vec![guest.program.clone().into(), address.port().to_string().into(), "0".into()]
    };
    let plain = Program::start("computing", Command::new(&guest.program).args(&server(native)[1..]), scratch.path())?;
    poll("the server to listen", OFTEN, || Ok(listening(native)?.then_some(())))?;
    let mut wire = Wire::connect(native, "native")?;
    wire.send(&request)?;
    let answer = wire.line()?;
    wire.end()?;
    drop(plain);

    let address = free_address()?;
    let milliseconds = interval.as_millis().to_string();
    let options: Vec<&str> = ["--progress-interval", &milliseconds].iter().chain(options).copied().collect();
    let mut group = Group::start_with(&options, &server(address), address, scratch.path())?;
    let before = group.wait_paired()?;
    let mut quiet = None;
    poll("the server to wait", OFTEN, || {
        let status = group.status()?.context("no status")?;
        let logged = status.only(Role::Primary).and_then(|primary| primary.lsn);
        let replayed = status.only(Role::Backup).and_then(|backup| backup.replayed_lsn);
        let waits = logged.is_some() && logged == quiet && logged == replayed;
        quiet = logged;
        Ok(waits.then_some(()))
    })?;
    let mut wire = Wire::connect(address, "replicated")?;
    wire.send(&request)?;
    let (mut last, mut seen) = ((quiet, Instant::now()), 0);
    let status = poll("the replica to follow", OFTEN, || {
        let status = group.status()?.context("no status")?;
        if wire.ready()? {
            return Ok(Some(None));
        }
        let came_to = status.only(Role::Backup).and_then(|backup| backup.replayed_lsn);
        // The connection and the request come at once; what comes an interval later is a position.
        if came_to.is_some() && came_to != last.0 {
            seen += usize::from(last.0 != quiet && last.1.elapsed() >= interval / 2);
            last = (came_to, Instant::now());
        }
        Ok((seen >= positions).then_some(Some(status)))
    })?;
    let Some(status) = status else { return Ok(None) };
    group.kill(Victim::Primary, &status)?;
    group.wait_solo(Victim::Primary, &before)?;
    wire.expect(&answer)?;
    wire.end()?;
    group.stop()?;
    Ok(Some(std::fs::read_to_string(scratch.path().join("ftrun.err"))?))
}

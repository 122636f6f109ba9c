//! Programs that are no servers, each natively, recorded and replayed: CPython's own test modules, interpreters, databases
//! and tools. [`expected::Expected`] says of each what must happen; docs/conformance.md is made from the same tables.
//!
//! `FTRUN_PROGRAMS=all` runs also what is slow, and all of it with every layer; `FTRUN_PROGRAMS=failing` those that are
//! expected to fail, with any layer: who makes some of them pass sees which.

mod document;
mod expected;
mod input;
mod python;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::{Ended, Outcome, run, run_within};
use crate::conformance::{identical_records, own_lines_removed, same};
use crate::guest::{FTRUN, command};
use crate::support;
use expected::Expected;

/// How long a command may run in each of the three ways: the slowest takes a minute on a machine with nothing else to do, and
/// may share its processors with a dozen others.
const LIMIT: Duration = Duration::from_secs(600);

/// A program, or some that use each other's files.
struct Program {
    /// What docs/conformance.md calls it.
    name: String,
    /// Commands: the first word is looked for in `PATH`; `{programs}` stands for `tests/programs`. They share a directory, in
    /// which there is a text, `input`.
    steps: Vec<Vec<String>>,
    expected: Expected,
    when: When,
}

/// When a program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// In every run of the tests.
    Always,
    /// With the default layer. The others take each call as the guests of `conformance` show, only slower.
    OneLayer,
    /// With `FTRUN_PROGRAMS=all`: it is slow, or shows little that others do not.
    All,
}

impl Program {
    fn is_run(&self) -> bool {
        let one_of_others = std::env::var("FTRUN_LAYER").is_ok_and(|layer| layer != "fast");
        match std::env::var("FTRUN_PROGRAMS").as_deref() {
            Ok("all") => true,
            Ok("failing") => matches!(self.expected, Expected::Fails(_)),
            Ok(other) => panic!("FTRUN_PROGRAMS is {other:?}, expected all or failing"),
            Err(_) => self.when == When::Always || self.when == When::OneLayer && !one_of_others,
        }
    }
}

/// All programs of the tables.
fn all() -> impl Iterator<Item = Program> {
    python::programs().chain(tools::programs())
}

/// Each of them is a test of its own, which passes without a word: so they are counted here.
#[test]
fn programs_left_out_are_counted() {
    let (count, left_out) = (all().count(), all().filter(|program| !program.is_run()).count());
    assert!(left_out < count, "every program is left out");
    if left_out > 0 {
        support::skip("programs", &format!("{left_out} of {count} left out; FTRUN_PROGRAMS=all runs them"));
    }
}

/// What one command did.
struct Step {
    recorded: Ended,
    replayed: Ended,
}

/// Runs a program in all three ways; panics unless it does what the table says.
fn conforms(program: &Program) {
    if !program.is_run() {
        return;
    }
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let native = directory(scratch.path(), "native");
    for step in &program.steps {
        run_within(LIMIT, &mut command_of(step, &native)).expect(Outcome::Exit(0));
    }
    let recorded = directory(scratch.path(), "recorded");
    let logs = directory(scratch.path(), "logs");
    let mut steps: Vec<(PathBuf, Ended)> = Vec::new();
    for (index, step) in program.steps.iter().enumerate() {
        let log = logs.join(index.to_string());
        let mut record = command(Path::new(FTRUN), &recorded, None);
        record.args(["record", "-o"]).arg(&log).arg("--").args(words(step));
        let ended = run_within(LIMIT, environment(&mut record, &recorded));
        let failed = ended.outcome != Outcome::Exit(0);
        steps.push((log, ended));
        // What comes then builds upon it.
        if failed {
            break;
        }
    }
    // The logs alone are enough.
    fs::remove_dir_all(&recorded).expect("the recorded run's directory can be removed");
    let replayed = directory(scratch.path(), "replayed");
    let steps: Vec<Step> = steps
        .into_iter()
        .map(|(log, recorded)| {
            let replayed = run_within(LIMIT, command(Path::new(FTRUN), &replayed, None).arg("replay").arg(log));
            Step { recorded, replayed }
        })
        .collect();
    let last = steps.last().expect("a program has a step");
    program.expected.check(&program.name, &last.recorded);
    steps.iter().for_each(replays);
}

/// A replay that is identical, whatever the recorded program has done.
fn replays(step: &Step) {
    let Step { recorded, replayed } = step;
    replayed.expect(Outcome::Exit(0));
    let count = identical_records(replayed)
        .unwrap_or_else(|| replayed.fail("the last line on stderr is not `replayed N records, identical`"));
    assert!(count > 0, "nothing was replayed");
    same(replayed, "stdout", &recorded.stdout, &replayed.stdout);
    let mut stderr = own_lines_removed(&replayed.stderr);
    stderr.pop();
    same(replayed, "stderr", &own_lines_removed(&recorded.stderr).concat(), &stderr.concat());
}

/// A directory with the text that programs read.
fn directory(scratch: &Path, name: &str) -> PathBuf {
    let path = scratch.join(name);
    fs::create_dir(&path).expect("a scratch directory can be made");
    fs::write(path.join("input"), input::text()).expect("the input can be written");
    path
}

/// A step's words, its program with its path.
fn words(step: &[String]) -> Vec<String> {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let programs = programs.to_str().expect("the path of the sources is UTF-8");
    let mut words: Vec<String> = step.iter().map(|word| word.replace("{programs}", programs)).collect();
    if words[0] == "{cc1}" {
        // The compiler proper, without the driver that starts a child for each stage.
        let found = run(Command::new("gcc").arg("-print-prog-name=cc1"));
        words[0] = String::from_utf8_lossy(&found.stdout).trim_end().to_owned();
    } else if !words[0].contains('/') {
        let path = support::installed(&words[0]).unwrap_or_else(|error| panic!("{error}"));
        words[0] = path.to_str().expect("the path of a program is UTF-8").to_owned();
    }
    words
}

fn command_of(step: &[String], directory: &Path) -> Command {
    let words = words(step);
    let mut command = command(Path::new(&words[0]), directory, None);
    command.args(&words[1..]);
    environment(&mut command, directory);
    command
}

/// Temporary files in this directory, and none beside Python's sources.
fn environment<'a>(command: &'a mut Command, directory: &Path) -> &'a mut Command {
    command.env("TMPDIR", directory).env("PYTHONDONTWRITEBYTECODE", "1")
}

//! A value that only a register holds: where it is another one, that is found at the next record, whatever this is.

use std::path::Path;

use common::record::{Kind, Record};
use common::syscall::nr;

use crate::child::{self, Outcome};
use crate::guest::{FTRUN, command};
use crate::support::launcher;
use crate::support::log::{records, rewrite};

fn is_held(record: &Record) -> bool {
    record.kind == Kind::Call && record.number == nr::GETPPID
}

/// Of the last answer that the program holds in a register the log says one more: the record behind it, `of` as the report describes
/// it, is where that is found.
fn found(what: &str, of: &str) {
    for (recorded, replayed) in [("fast", "fast"), ("fast", "complete"), ("complete", "fast"), ("mixed", "mixed")] {
        let scratch = tempfile::tempdir().expect("a scratch directory can be made");
        let (log, forged) = (scratch.path().join("log"), scratch.path().join("forged"));
        let program = launcher("held", scratch.path(), &[]);
        let mut record = command(Path::new(FTRUN), scratch.path(), None);
        let record = record.args(["record", "--layer", recorded, "-o"]).arg(&log).arg("--").arg(program).arg(what);
        child::run(record).expect(Outcome::Exit(0));
        let held = records(&log).expect("a sound log").iter().filter(|record| is_held(record)).count();
        let mut left = held;
        let forge = |record: &mut Record| {
            left -= usize::from(is_held(record));
            record.result += i64::from(is_held(record) && left == 0);
        };
        rewrite(&log, &forged, forge).expect("the log can be written anew");
        let replay = |log: &Path| {
            let mut replay = command(Path::new(FTRUN), scratch.path(), None);
            child::run(replay.args(["replay", "--layer", replayed]).arg(log))
        };
        replay(&log).expect(Outcome::Exit(0));
        let ended = replay(&forged);
        ended.expect(Outcome::Exit(123));
        let report = String::from_utf8_lossy(&ended.stderr).into_owned();
        let first = report.lines().find(|line| line.contains("divergence at LSN ")).unwrap_or_default();
        assert!(
            first.contains(of) && report.contains("of the registers"),
            "{what}, recorded {recorded}, replayed {replayed}: the report is not of {of}:\n{report}"
        );
    }
}

#[test]
fn at_a_call() {
    found("call", " in getuid()");
}

#[test]
fn at_a_refused_call() {
    found("refused", " in io_uring_setup (system call 425)(");
}

#[test]
fn at_the_last_call() {
    found("end", " in exit_group(");
}

#[test]
fn at_a_read_of_the_time_stamp_counter() {
    found("time", " in instruction 1 ");
}

#[test]
fn at_a_read_of_the_time_stamp_counter_in_process() {
    found("often", " in instruction 1 ");
}

#[test]
fn at_a_question_for_features() {
    found("features", " in instruction 3 ");
}

#[test]
fn at_a_fault() {
    found("illegal", " in signal 4 ");
}

//! A replica goes live at any record: the guests of the conformance tests are recorded, replayed up to a record, and go on from there
//! with real kernel objects. What they check and print must be as if nothing had happened.
//!
//! Only guests whose objects are their own: the files and peers of the others are as the recorded run left them, not as they were
//! at the record. All positions: `FTRUN_EVERYWHERE=1`.

use std::fs;
use std::path::Path;

use crate::child::run;
use crate::guest::{FTRUN, Guest, command};
use crate::support::rng;

/// How many positions are tried for each guest.
const POSITIONS: u64 = 12;

macro_rules! guests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { super::anywhere::goes_on(stringify!($name)); })*
    };
}

guests! {
    abort brk clocks death_by_alarm death_by_kill death_by_segv death_by_term descriptors_many dup eventfd exit_at_once
    exit_handlers exit_raw faults_handled futex getrandom handlers_nested heap ids invalid_flags kill_self
    mmap_anonymous mprotect mremap pause pipe poll_interrupted ppoll prlimit pselect rdtsc rdtscp recursion sa_nodefer
    sa_resethand sched segv_recovered select setitimer setsid sigaltstack siginfo siglongjmp signalfd sigprocmask_pending
    sigsuspend sleep sleep_interrupted sleep_restarted socketpair stack_overflow static_pie static_plain static_smallest
    thread_pointers timerfd vector_state
}

/// Those that look at the fast layer: what is patched stays so, and what is not is patched by the survivor.
macro_rules! inside {
    ($($name:ident)*) => {
        mod inside {
            $(#[test] fn $name() { super::goes_on(concat!("inside/", stringify!($name))); })*
        }
    };
}

inside! { alignment interrupted sites_pie sites_static storm to_itself }

fn goes_on(name: &str) {
    let guest = Guest::built(name);
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let (log, work) = (scratch.path().join("log"), scratch.path().join("work"));
    fs::create_dir(&work).expect("a scratch directory can be made");
    let mut record = command(Path::new(FTRUN), &work, None);
    let recorded = run(record.args(["record", "-o"]).arg(&log).arg("--").arg(&guest.program));
    recorded.expect(guest.outcome);

    let records = {
        let replayed = run(command(Path::new(FTRUN), &work, None).arg("replay").arg(&log));
        let lines = replayed.stderr_lines();
        let count =
            lines.last().and_then(|line| line.strip_prefix("replayed ")?.split(' ').next()?.parse::<u64>().ok());
        count.unwrap_or_else(|| replayed.fail("the last line on stderr is not `replayed N records, identical`"))
    };
    // The last record is the end of the guest: nothing goes on from there.
    let positions: Vec<u64> = if std::env::var_os("FTRUN_EVERYWHERE").is_some() {
        (0..records).collect()
    } else {
        let mut rng = rng::Rng::part(rng::seed().expect("a seed"), records);
        // The start is the same for all of them: most positions lie behind it.
        let behind = records.saturating_sub(records.min(80) / 2).max(1);
        let drawn = (0..POSITIONS - 2).map(|_| records - 1 - rng.below(behind));
        [0, records - 1].into_iter().chain(drawn).collect()
    };
    for position in positions {
        let mut live = command(Path::new(FTRUN), &work, None);
        let outcome = run(live.arg("replay").arg(&log).args(["--test-live-after", &position.to_string()]));
        if outcome.outcome != guest.outcome {
            outcome.fail(&format!("live after {position} of {records} records, expected {:?}", guest.outcome));
        }
        if guest.fixed_output && outcome.stdout != recorded.stdout {
            let (expected, found) = (recorded.stdout.escape_ascii(), outcome.stdout.escape_ascii());
            outcome.fail(&format!("live after {position} of {records}: expected output {expected}, found {found}"));
        }
    }
}

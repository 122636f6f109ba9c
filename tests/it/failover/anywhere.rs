//! A replica goes live at any record: the guests of the conformance tests are recorded, replayed up to a record, and go on from there
//! with real kernel objects. What they check and print must be as if nothing had happened.
//!
//! Only guests whose objects are their own: the files and peers of the others are as the recorded run left them, not as they were
//! at the record. How many positions: `FTRUN_POSITIONS`, a number or `all`.

use std::fs;
use std::path::Path;

use crate::child::run;
use crate::guest::{FTRUN, Guest, command};
use crate::support::rng;

/// How many positions are tried for each guest.
const POSITIONS: u64 = 12;

/// How many are wanted; `None` for all that there are.
fn positions_wanted() -> Option<u64> {
    match std::env::var("FTRUN_POSITIONS") {
        Ok(all) if all == "all" => None,
        Ok(number) => Some(number.parse().expect("FTRUN_POSITIONS is a number, or all")),
        Err(_) => Some(POSITIONS),
    }
}

macro_rules! guests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { super::anywhere::goes_on(stringify!($name)); })*
    };
}

guests! {
    abort abort_resisted absolute_deadlines alarm_blocked alignment_check avx2_state avx512_state bit_instructions blocked_fault_kills brk
    brk_limits clocks death_by_alarm death_by_kill death_by_segv death_by_term death_by_virtual_timer descriptors_many
    child_numbers children_lost dup eventfd exec_itself execution_state exit_at_once exit_handlers
    exit_in_handler exit_raw failed_with_effect fault_retry faults_handled float_faults float_modes
    frame_after_fork frame_nowhere futex generated_code getrandom handler_entry handlers_computing handlers_nested heap ids
    ignored_fault_kills invalid_flags kill_self memory_churn memory_locked mincore_advice mmap_anonymous mmap_grows_down
    mmap_reserve mmap_shared_anonymous mprotect mremap mremap_fixed nested_faults pause pipe pipe_packets
    poll_interrupted posix_timer_cpu posix_timer_rearmed posix_timer_signals posix_timers posix_timers_many ppoll
    prlimit pselect rdtsc rdtsc_storm rdtscp recursion sa_nodefer sa_resethand sa_resethand_nested sched segv_contents
    segv_recovered select setitimer setsid sigaction_all sigaltstack sigaltstack_disarmed siginfo sigio sigio_owner sigio_pipe
    siglongjmp
    signal_delivery_order signal_mask_in_handler signal_queue_order signalfd signalfd_many sigpending_limit
    sigprocmask_pending sigreturn_broken sigreturn_registers sigreturn_vectors sigsuspend sigsys_default sigtimedwait
    sleep sleep_interrupted sleep_restarted socketpair stack_limit stack_overflow static_pie static_plain
    static_smallest string_functions string_instructions swapcontext thread_pointers timerfd trap_flag vector_state
    vector_sums write_interrupted x87 xsave
}

/// Those that look at the fast layer: what is patched stays so, and what is not is patched by the survivor.
macro_rules! inside {
    ($($name:ident)*) => {
        mod inside {
            $(#[test] fn $name() { super::goes_on(concat!("inside/", stringify!($name))); })*
        }
    };
}

inside! { alignment counter counter_registers counter_storm interrupted sites_pie sites_static storm to_itself }

/// A look must not take as long as the time from one tick of the guest's timer to the next, or it does nothing but tick.
fn records_between_looks(name: &str) -> &'static str {
    match name {
        // Has megabytes to look at.
        "memory_churn" => "20",
        fast_timers if fast_timers.starts_with("inside/") => "20",
        _ => "3",
    }
}

fn goes_on(name: &str) {
    let guest = Guest::built(name);
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let (log, work) = (scratch.path().join("log"), scratch.path().join("work"));
    fs::create_dir(&work).expect("a scratch directory can be made");
    let mut record = command(Path::new(FTRUN), &work, None);
    // Some of the positions are where memory has just been looked at.
    record.args(["record", "--memory-check", records_between_looks(name), "-o"]).arg(&log);
    let recorded = run(record.arg("--").arg(&guest.program));
    recorded.expect(guest.outcome);

    let records = {
        let replayed = run(command(Path::new(FTRUN), &work, None).arg("replay").arg(&log));
        let lines = replayed.stderr_lines();
        let count =
            lines.last().and_then(|line| line.strip_prefix("replayed ")?.split(' ').next()?.parse::<u64>().ok());
        count.unwrap_or_else(|| replayed.fail("the last line on stderr is not `replayed N records, identical`"))
    };
    // The last record is the end of the guest: nothing goes on from there.
    let positions: Vec<u64> = match positions_wanted() {
        None => (0..records).collect(),
        Some(wanted) => {
            let mut rng = rng::Rng::part(rng::seed().expect("a seed"), records);
            // The start is the same for all of them: most positions lie behind it.
            let behind = records.saturating_sub(records.min(80) / 2).max(1);
            let drawn = (2..wanted).map(|_| records - 1 - rng.below(behind));
            [0, records - 1].into_iter().chain(drawn).collect()
        }
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

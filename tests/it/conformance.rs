//! Every guest, three times: natively, recorded, replayed. What a recorded guest printed comes again byte for byte,
//! however random it was, and a recording changes neither its status nor the signal that it dies by.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::child::{Ended, Outcome, run};
use crate::guest::{FTRUN, Guest, command, sources};
use crate::support::skip;

macro_rules! guests {
    ($($name:ident)*) => {
        const GUESTS: &[&str] = &[$(stringify!($name)),*];

        mod guest {
            $(#[test] fn $name() { super::conforms(stringify!($name)); })*
        }
    };
}

guests! {
    abort abort_resisted absolute_deadlines access alarm alarm_blocked alignment_check append auxv avx2_state
    avx512_state
    bit_instructions blocked_fault_kills brk brk_limits calendar capget child_numbers child_pipes child_signals
    child_state children_lost children_many chroot clock_agreement clocks clone_refused copy_file_range counter_generated counter_in_files
    core_dump cpu_timers cpuid_leaves death_by_alarm death_by_kill death_by_segv death_by_term death_by_virtual_timer
    death_in_a_loop descriptors_many devices directories directory_positions dlopen dup efault efault_partial
    efault_structures environment epipe epoll epoll_edges epoll_many epoll_pwait errors event_loop eventfd exec
    exec_itself exec_refused execution_state exit_at_once exit_handlers exit_in_handler exit_raw
    failed_with_effect fault_in_handler_kills fault_retry faults_handled fcntl_flags fcntl_locks file_length
    file_shows_writes file_size_limit file_times float_faults float_modes flock fork_in_handler fork_wait
    frame_after_fork frame_nowhere futex generated_code getaddrinfo getdents getrandom grandchildren handler_entry
    handlers_computing handlers_nested heap ids ignored_fault_kills inheritance inotify invalid_flags
    io_signal_refused ioctl kill_self lseek madvise madvise_file_hole madvise_locked memory_churn memory_locked
    mincore_advice mlock mmap_anonymous mmap_copy_on_write mmap_file mmap_grows_down mmap_reserve
    mmap_shared_anonymous modes mprotect mremap mremap_file mremap_fixed names nested_faults never_restarted
    openat openat2 output_large pause pipe pipe_packets poll poll_interrupted positioned_vectors posix_spawn
    posix_timer_cpu posix_timer_rearmed posix_timer_signals posix_timers posix_timers_many posix_timers_refused ppoll prctl
    pread_pwrite prlimit proc_self pselect rdtsc rdtsc_blocked rdtsc_in_handler
    rdtsc_storm rdtscp read_interrupted read_restarted receive_flags receive_timeout recursion restart_calls
    rw_vector sa_nodefer sa_resethand sa_resethand_nested sched segv_contents segv_recovered select sendfile
    sendmmsg sendmsg setitimer setsid shared_memory_refused shared_write shared_write_refused
    shared_write_sigbus sigaction_all sigaltstack sigaltstack_disarmed sigbus sigchld siginfo sigio sigio_owner
    sigio_pipe siglongjmp signal_delivery_order signal_mask_in_handler
    signal_queue_order signalfd signalfd_many signals_ignored sigpending_limit sigprocmask_pending
    sigreturn_broken sigreturn_registers sigreturn_vectors sigsuspend sigsys_default sigtimedwait sleep
    sleep_interrupted sleep_restarted socket_errors socket_options socketpair splice_refused stack_limit
    stack_overflow stat statfs static_pie static_plain static_smallest statx stdin stdio string_functions
    string_instructions swapcontext sync sysinfo tcp tcp_accept4 tcp_half_close tcp_ipv6 tcp_nonblocking
    tcp_refused tcp_reset tcp_reset_before_accept temporary_files thread_pointers time_of_day timerfd trap_flag
    udp uname unix_abstract unix_descriptor unix_stream unknown_refused vector_state vector_sums vectors_partial
    vfork vsyscall wait_for_nobody waitid write_interrupted x87 xattr_refused xsave
}

#[test]
fn every_guest_is_listed() {
    let listed: BTreeSet<String> = GUESTS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(listed.len(), GUESTS.len(), "a guest is listed twice");
    let entries = fs::read_dir(sources()).expect("the guests' directory can be read");
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    let found: BTreeSet<String> = paths
        .filter(|path| path.extension() == Some(OsStr::new("c")))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(listed, found, "the list in this file and the *.c files in tests/guests differ");
}

fn conforms(name: &str) {
    let guest = Guest::built(name);
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let directory = |name: &str| {
        let path = scratch.path().join(name);
        fs::create_dir(&path).expect("a scratch directory can be made");
        path
    };

    // What ftrun refuses works natively: such a guest cannot pass there.
    let native = guest.refused.is_none().then(|| {
        let native = run(&mut command(&guest.program, &directory("native"), guest.stdin.as_deref()));
        native.expect(guest.outcome);
        if let Some(what) = native.stdout.strip_prefix(b"absent: ") {
            skip(&format!("conformance::guest::{name}"), &format!("here is no {}", what.trim_ascii().escape_ascii()));
        }
        native
    });

    let (log, work) = (scratch.path().join("log"), directory("recorded"));
    let mut record = command(Path::new(FTRUN), &work, guest.stdin.as_deref());
    // Memory is compared now and then, and at the guest's last call.
    let memory_check = std::env::var("FTRUN_MEMORY_CHECK").unwrap_or_else(|_| "50".to_owned());
    record.args(["record", "--memory-check", &memory_check, "-o"]).arg(&log);
    let recorded = run(record.arg("--").arg(&guest.program));
    recorded.expect(guest.outcome);
    let recorded_stderr = own_lines_removed(&recorded.stderr);
    if let Some(refused) = &guest.refused {
        let line = format!("ftrun: refused {refused}: ");
        if !recorded.stderr_lines().iter().any(|found| found.starts_with(&line)) {
            recorded.fail(&format!("no line on stderr begins with `{line}`"));
        }
    }
    if let (true, Some(native)) = (guest.fixed_output, &native) {
        same(&recorded, "stdout", &native.stdout, &recorded.stdout);
        same(&recorded, "stderr", &native.stderr, &recorded_stderr.concat());
    }

    // The log alone is enough: whatever the guest read, wrote or made is gone.
    fs::remove_dir_all(&work).expect("the recorded run's directory can be removed");
    let replayed = run(command(Path::new(FTRUN), &directory("replayed"), None).arg("replay").arg(&log));
    replayed.expect(Outcome::Exit(0));
    let count = identical_records(&replayed).unwrap_or_else(|| {
        replayed.fail("the last line on stderr is not `replayed N records, identical`");
    });
    assert!(count > 0, "nothing was replayed");
    same(&replayed, "stdout", &recorded.stdout, &replayed.stdout);
    let mut replayed_stderr = own_lines_removed(&replayed.stderr);
    replayed_stderr.pop();
    same(&replayed, "stderr", &recorded_stderr.concat(), &replayed_stderr.concat());
}

/// N of a last line `replayed N records, identical`.
pub(crate) fn identical_records(replayed: &Ended) -> Option<u64> {
    let lines = replayed.stderr_lines();
    lines.last()?.strip_prefix("replayed ")?.strip_suffix(" records, identical")?.parse().ok()
}

/// The lines that the guest wrote to standard error: those that ftrun adds begin with its name.
pub(crate) fn own_lines_removed(stderr: &[u8]) -> Vec<&[u8]> {
    stderr.split_inclusive(|&byte| byte == b'\n').filter(|line| !line.starts_with(b"ftrun:")).collect()
}

/// Panics where two outputs begin to differ.
pub(crate) fn same(run: &Ended, stream: &str, expected: &[u8], found: &[u8]) {
    if expected == found {
        return;
    }
    let at = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| {
        let end = bytes.len().min(at + 80);
        String::from_utf8_lossy(&bytes[at.saturating_sub(40).min(end)..end]).escape_debug().to_string()
    };
    let (expected_len, found_len) = (expected.len(), found.len());
    run.fail(&format!(
        "{stream} differs at byte {at} of {expected_len} expected, {found_len} found\nexpected: ...{}\n   found: ...{}",
        around(expected),
        around(found)
    ));
}

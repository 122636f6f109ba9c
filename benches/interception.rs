//! What it costs to intercept a system call, call by call, and an instruction that traps (`tsc`): natively, under a bare ptrace tracer with two stops, recorded with the
//! complete layer (seccomp and one stop) and with the fast layer, the log written to a file, and replayed. The promises are those of
//! SPECIFICATION.md, P1 to P4 and L2.
//!
//! The program that calls measures itself, except in a replay, where its clock is the recording's: there two replays are
//! compared, one with the calls and one without, by the processor time of the replayed process.
//!
//! Calls with the fast layer come in bursts that fit into the ring: what is measured is the server's cost. How much a log takes
//! for long is another question (docs/performance.md).

mod program;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};

use self::program::{built, told};

/// Calls in a loop, timed by itself: `caller OPERATION COUNT [traced]`.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char buffer[4096];
static volatile unsigned long counter;

static long now(void) {
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void call(const char *operation, long count) {
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
    int events = eventfd(1, 0), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    struct timespec t;
    epoll_ctl(set, EPOLL_CTL_ADD, events, &event);
    long size = strncmp(operation, "read_", 5) ? 64 : atol(operation + 5);
    /* The first calls have their sites patched; a trap only when it comes often. */
    long start = 0;
    for (long i = operation[0] == 't' ? -4000 : -16; i < count; i++) {
        if (i == 0) start = now();
        switch (operation[0]) {
        case 'g': syscall(SYS_getppid); break;
        case 'r': syscall(SYS_read, zero, buffer, size); break;
        case 'w': syscall(SYS_write, null, buffer, size); break;
        case 'c': syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t); break;
        case 'e': syscall(SYS_epoll_wait, set, &event, 1, -1); break;
        case 't': counter += __builtin_ia32_rdtsc(); break;
        default: exit(2);
        }
    }
    if (count == 0) start = now();
    printf("%ld\n", now() - start);
    fflush(stdout);
}

/* Two stops for each call and nothing else, tracer and tracee on one processor. */
static int trace(const char *operation, long count) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        call(operation, count);
        _exit(0);
    }
    int status;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status))
        ptrace(PTRACE_SYSCALL, child, 0, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv) {
    if (argc > 3) return trace(argv[1], atol(argv[2]));
    call(argv[1], atol(argv[2]));
    return 0;
}
"#;

const OPERATIONS: [&str; 8] =
    ["getppid", "read_1", "read_64", "read_4096", "write_64", "clock_gettime", "epoll_wait", "tsc"];

/// How the calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Native,
    Traced,
    Recorded,
    Replayed,
}

/// Calls for each iteration: enough to outweigh what surrounds them, few enough to be short, and to fit into the ring.
fn calls(way: Way, layer: &str, operation: &str) -> u32 {
    match (way, layer) {
        (Way::Native, _) => 100_000,
        (Way::Recorded, "fast") if operation == "read_4096" => 1500,
        (Way::Recorded, "fast") => 20_000,
        // It is the difference to a program that has had its site patched as well, after some milliseconds.
        (Way::Replayed, "fast") if operation == "tsc" => 1_000_000,
        (Way::Replayed, _) if operation == "tsc" => 10_000,
        (Way::Replayed, "fast") => 100_000,
        _ => 1000,
    }
}

/// A directory for one recording, removed with the value.
fn recording() -> tempfile::TempDir {
    tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory can be written")
}

/// Records the calls into `directory`.
fn record(directory: &Path, program: &Path, operation: &str, calls: u64, layer: &str) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrun"));
    command.args(["record", "-o"]).arg(directory.join("log")).args(["--layer", layer, "--"]);
    told(command.arg(program).args([operation, &calls.to_string()]))
}

/// Processor time of the process that replays so many calls, as its tracer learns it when it ends.
fn replay(program: &Path, operation: &str, calls: u64, layer: &str) -> Duration {
    let directory = recording();
    record(directory.path(), program, operation, calls, layer);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrun"));
    command.args(["replay", "--layer", layer]).arg(directory.path().join("log"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ftrun starts");
    let mut used = Duration::ZERO;
    loop {
        if let Some(now) = replica(child.id()).and_then(computed) {
            used = now;
        }
        if let Some(status) = child.try_wait().expect("ftrun can be waited for") {
            assert!(status.success(), "{command:?} ends with {status}");
            return used;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// The only child of a process.
fn replica(parent: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Processor time of a process, proc_pid_schedstat(5).
fn computed(pid: u32) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn run(way: Way, program: &Path, operation: &str, calls: u64, layer: &str) -> Duration {
    let count = calls.to_string();
    match way {
        Way::Native => told(Command::new(program).args([operation, &count])),
        Way::Traced => told(Command::new(program).args([operation, &count, "traced"])),
        Way::Recorded => record(recording().path(), program, operation, calls, layer),
        Way::Replayed => {
            let with = replay(program, operation, calls, layer);
            with.saturating_sub(replay(program, operation, 0, layer))
        }
    }
}

fn interception(criterion: &mut Criterion) {
    let program = built("caller", SOURCE);
    let ways = [
        ("native", Way::Native, ""),
        ("ptrace, two stops", Way::Traced, ""),
        ("complete layer, recorded", Way::Recorded, "complete"),
        ("complete layer, replayed", Way::Replayed, "complete"),
        ("fast layer, recorded", Way::Recorded, "fast"),
        ("fast layer, replayed", Way::Replayed, "fast"),
    ];
    for operation in OPERATIONS {
        let mut group = criterion.benchmark_group(operation);
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(300));
        // A bare tracer sees no such instruction.
        for (name, way, layer) in ways.into_iter().filter(|(_, way, _)| operation != "tsc" || *way != Way::Traced) {
            let scale = calls(way, layer, operation);
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| {
                    let all = (0..iterations).map(|_| run(way, &program, operation, scale.into(), layer));
                    // The difference of two processor times can be nothing, which criterion takes for a fault.
                    (all.sum::<Duration>() / scale).max(Duration::from_nanos(1))
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, interception);
criterion_main!(benches);

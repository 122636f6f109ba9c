//! What it costs to intercept a system call, call by call: natively, under a bare ptrace tracer with two stops, under the complete
//! layer (seccomp and one stop, the log written to a file), and replayed. The promises are those of SPECIFICATION.md, P1 to P4
//! and L2.
//!
//! The program that calls measures itself, except in a replay, where its clock is the recording's: there two replays are
//! compared, one with the calls and one without.
//!
//! `FTRUN_BENCH_FAST="OPTIONS"` adds rows for the in-process layer: `ftrun record OPTIONS` and `ftrun replay OPTIONS` are to
//! switch it on. Without it they are left out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};

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
    long start = now();
    if (!strcmp(operation, "getppid")) for (long i = 0; i < count; i++) syscall(SYS_getppid);
    else if (!strncmp(operation, "read_", 5)) for (long i = 0; i < count; i++) syscall(SYS_read, zero, buffer, size);
    else if (!strcmp(operation, "write_64")) for (long i = 0; i < count; i++) syscall(SYS_write, null, buffer, size);
    else if (!strcmp(operation, "clock_gettime")) for (long i = 0; i < count; i++) syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    else if (!strcmp(operation, "epoll_wait")) for (long i = 0; i < count; i++) syscall(SYS_epoll_wait, set, &event, 1, -1);
    else exit(2);
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

const OPERATIONS: [&str; 7] = ["getppid", "read_1", "read_64", "read_4096", "write_64", "clock_gettime", "epoll_wait"];

/// How the calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Native,
    Traced,
    Recorded,
    Replayed,
}

impl Way {
    /// Calls for each iteration: enough to outweigh the start of the program, few enough to be short.
    fn calls(self, fast: bool) -> u32 {
        match self {
            Self::Native => 200_000,
            Self::Traced | Self::Recorded | Self::Replayed => 1000 * if fast { 100 } else { 1 },
        }
    }
}

/// Builds the program that calls; its path.
fn caller() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (dir.join("caller.c"), dir.join("caller"));
    std::fs::write(&source, SOURCE).expect("the target directory can be written");
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).args([&program, &source]).status().expect("cc runs");
    assert!(built.success(), "the program that calls is compiled");
    program
}

/// A directory for one recording, removed with the value.
fn recording() -> tempfile::TempDir {
    tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory can be written")
}

/// Runs a program that says how many nanoseconds its calls took.
fn told(command: &mut Command) -> Duration {
    let output = command.stderr(Stdio::inherit()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?} ends with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    Duration::from_nanos(text.trim().parse().expect("the program says a number"))
}

/// Records the calls into `directory`.
fn record(directory: &Path, program: &Path, operation: &str, calls: u64, options: &[String]) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrun"));
    command.args(["record", "-o"]).arg(directory.join("log")).args(options).arg("--");
    told(command.arg(program).args([operation, &calls.to_string()]))
}

/// Wall time of the replay of so many calls.
fn replay(program: &Path, operation: &str, calls: u64, options: &[String]) -> Duration {
    let directory = recording();
    record(directory.path(), program, operation, calls, options);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ftrun"));
    command.arg("replay").args(options).arg(directory.path().join("log"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status().expect("ftrun starts");
    assert!(status.success(), "{command:?} ends with {status}");
    start.elapsed()
}

fn run(way: Way, program: &Path, operation: &str, calls: u64, options: &[String]) -> Duration {
    let count = calls.to_string();
    match way {
        Way::Native => told(Command::new(program).args([operation, &count])),
        Way::Traced => told(Command::new(program).args([operation, &count, "traced"])),
        Way::Recorded => record(recording().path(), program, operation, calls, options),
        Way::Replayed => {
            let with = replay(program, operation, calls, options);
            with.saturating_sub(replay(program, operation, 0, options))
        }
    }
}

fn interception(criterion: &mut Criterion) {
    let program = caller();
    let fast: Option<Vec<String>> =
        std::env::var("FTRUN_BENCH_FAST").ok().map(|options| options.split_whitespace().map(str::to_owned).collect());
    let mut ways = vec![
        ("native", Way::Native, None),
        ("ptrace, two stops", Way::Traced, None),
        ("complete layer, recorded", Way::Recorded, None),
        ("complete layer, replayed", Way::Replayed, None),
    ];
    if let Some(options) = &fast {
        ways.push(("in-process layer, recorded", Way::Recorded, Some(options)));
        ways.push(("in-process layer, replayed", Way::Replayed, Some(options)));
    }
    for operation in OPERATIONS {
        let mut group = criterion.benchmark_group(operation);
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(300));
        for (name, way, options) in &ways {
            let scale = way.calls(options.is_some());
            let options: &[String] = options.map_or(&[], Vec::as_slice);
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|iterations| {
                    run(*way, &program, operation, iterations * u64::from(scale), options) / scale
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, interception);
criterion_main!(benches);

//! What it costs to intercept a system call: getppid(2) natively, and under the complete layer (ptrace and seccomp) with the
//! log written to a file. The promise for the complete layer is only that it works; the figures are the baseline of the
//! in-process layer. Each run starts a program that makes a fixed number of calls, so that the difference of two counts is the
//! cost of the calls alone.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

const SOURCE: &str = r"
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
    long n = argc > 1 ? atol(argv[1]) : 0;
    for (long i = 0; i < n; i++) syscall(SYS_getppid);
    return 0;
}
";

/// Builds the program that calls; its path.
fn caller() -> String {
    let dir = env!("CARGO_TARGET_TMPDIR");
    let (source, program) = (format!("{dir}/caller.c"), format!("{dir}/caller"));
    std::fs::write(&source, SOURCE).expect("the target directory can be written");
    let built = Command::new("cc").args(["-O2", "-static", "-o", &program, &source]).status().expect("cc runs");
    assert!(built.success(), "the program that calls is compiled");
    program
}

/// Time of a run with `calls` calls.
fn run(program: &str, calls: u64, recorded: bool) -> Duration {
    let output = format!("{}/bench-recording-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let calls = calls.to_string();
    let mut command = if recorded {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ftrun"));
        command.args(["record", "-o", &output, "--", program, &calls]);
        command
    } else {
        let mut command = Command::new(program);
        command.arg(&calls);
        command
    };
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).status().expect("the program starts");
    let elapsed = start.elapsed();
    assert!(status.success(), "the program ends in order");
    if recorded {
        std::fs::remove_dir_all(&output).expect("the recording can be removed");
    }
    elapsed
}

fn interception(criterion: &mut Criterion) {
    let program = caller();
    let mut group = criterion.benchmark_group("getppid");
    group.sample_size(10);
    for (name, recorded) in [("native", false), ("complete layer, recorded", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let calls = iterations * 100;
                let (with, without) = (run(&program, calls, recorded), run(&program, 0, recorded));
                with.saturating_sub(without) / 100
            });
        });
    }
    group.finish();
}

criterion_group!(benches, interception);
criterion_main!(benches);

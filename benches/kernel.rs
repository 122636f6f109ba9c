//! What the means that ftrun has of the kernel cost by themselves: a filter on system calls, and rdtsc that traps, which a switch of
//! processes pays for. docs/performance.md names the figures where it says why the fast layer is as it is.

mod program;

use std::process::Command;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};

use self::program::{built, told};

/// Calls or switches in a loop, timed by itself: `kernel MEANS COUNT`.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#endif

static char selector;

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void must(int failed, const char *what) {
    if (!failed) return;
    perror(what);
    exit(2);
}

static void filter(struct sock_filter *code, unsigned short length) {
    struct sock_fprog program = {length, code};
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS");
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "PR_SET_SECCOMP");
}

/* Whoever calls is allowed, but the filter does not know: the page is this program's, or not. */
static void by_place(void) {
    uint64_t page = (uintptr_t)by_place & ~0xfffffful;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(page >> 32), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)page, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO),
    };
    filter(code, 6);
}

static void by_number(void) {
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    filter(code, 1);
}

static void dispatch(void) {
    uint64_t page = (uintptr_t)by_place & ~0xfffffful;
    must(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, page, 0x2000000ul, &selector), "PR_SET_SYSCALL_USER_DISPATCH");
}

static void calls(long count) {
    for (long i = 0; i < count; i++) {
        long result;
        __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_getppid) : "rcx", "r11", "memory");
    }
}

/* A byte to and fro, on one processor: two switches each. */
static void switches(long count, int traps) {
    int there[2], back[2];
    char byte = 0;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    must(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
    must(pipe(there) || pipe(back), "pipe");
    pid_t child = fork();
    must(child < 0, "fork");
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1) must(write(back[1], &byte, 1) != 1, "write");
        _exit(0);
    }
    if (traps) must(prctl(PR_SET_TSC, PR_TSC_SIGSEGV), "PR_SET_TSC");
    for (long i = 0; i < count; i += 2) must(write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1, "a pipe");
    if (traps) must(prctl(PR_SET_TSC, PR_TSC_ENABLE), "PR_SET_TSC");
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long count = atol(argv[2]), start;
    if (!strcmp(argv[1], "place")) by_place();
    if (!strcmp(argv[1], "number")) by_number();
    if (!strcmp(argv[1], "dispatch")) dispatch();
    start = now();
    if (!strncmp(argv[1], "switch", 6)) switches(count, !strcmp(argv[1], "switch-traps"));
    else calls(count);
    long took = now() - start;
    printf("%ld\n", took);
    return 0;
}
"#;

/// Group, what is measured, what the program is told.
const MEANS: [(&str, &str, &str); 6] = [
    ("getppid", "no filter", "none"),
    ("getppid", "filter by the place of the call", "place"),
    ("getppid", "filter that allows all", "number"),
    ("getppid", "syscall user dispatch", "dispatch"),
    ("switch", "rdtsc allowed", "switch"),
    ("switch", "rdtsc traps in one of two", "switch-traps"),
];

const COUNT: u32 = 100_000;

fn kernel(criterion: &mut Criterion) {
    let program = built("kernel", SOURCE);
    for (group, name, means) in MEANS {
        let mut group = criterion.benchmark_group(group);
        group.sample_size(20).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|iterations| {
                let took = |_| told(Command::new(&program).args([means, &COUNT.to_string()]));
                (0..iterations).map(took).sum::<Duration>() / COUNT
            });
        });
        group.finish();
    }
}

criterion_group!(benches, kernel);
criterion_main!(benches);

//! A system that does not let ftrun do what it needs: containers whose profile refuses ptrace(2) and its like.

use std::process::Command;

use super::case::{Case, compiled, verdict};
use crate::child;
use crate::support::group::ftrun;
use crate::support::program::Exit;

/// `ftrun record`, `ftrun --` and `ftrun replay`, with one system call answered by EPERM, end with 125 and say this.
fn denied(call: &str, says: &[&str]) {
    let case = Case::new();
    let (deny, server) = (compiled(&case, "deny", &[]), compiled(&case, "quiet", &[]));
    let log = case.path("log");
    let recorded = child::run(ftrun().args(["record", "-o"]).arg(&log).arg("--").arg(&server));
    recorded.expect(child::Outcome::Exit(0));
    let mut record = ftrun();
    record.args(["record", "-o"]).arg(case.path("other")).arg("--").arg(&server);
    let mut run = case.ftrun(["--"]);
    run.arg(&server);
    let mut replay = ftrun();
    replay.arg("replay").arg(&log);
    for command in [record, run, replay] {
        let mut confined = Command::new(&deny);
        confined.arg(call).arg(command.get_program()).args(command.get_args());
        verdict(case.ends(confined, Exit::Code(125), says));
    }
}

#[test]
fn ptrace() {
    denied("ptrace", &["ptrace is refused: EPERM", "add the SYS_PTRACE capability", "kernel.yama.ptrace_scope"]);
}

#[test]
fn seccomp() {
    denied("seccomp", &["cannot prepare the server process: seccomp(SECCOMP_SET_MODE_FILTER): EPERM"]);
}

#[test]
fn trapping_the_clock() {
    denied("prctl-tsc", &["cannot prepare the server process: prctl(PR_SET_TSC): EPERM"]);
}

//! Servers that cannot be started, and one that cannot be replicated: under `ftrun record` and under `ftrun --`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Result, ensure};

use super::case::{Case, compiled, verdict};
use crate::support::group::ftrun;
use crate::support::program::Exit;

/// Both ways to start a server end like this, and nothing is recorded.
fn refused(case: &Case, server: &Path, exit: i32, says: &[&str]) {
    verdict(both(case, server, exit, says));
}

fn both(case: &Case, server: &Path, exit: i32, says: &[&str]) -> Result<()> {
    let log = case.path("log");
    let mut record = ftrun();
    record.args(["record", "-o"]).arg(&log).arg("--").arg(server);
    case.ends(record, Exit::Code(exit), says)?;
    ensure!(!log.join("snapshot").exists(), "a log of a server that never ran");
    let mut run = case.ftrun(["--"]);
    run.arg(server);
    case.ends(run, Exit::Code(exit), says)
}

#[test]
fn missing() {
    refused(&Case::new(), Path::new("/no/such/server"), 127, &["/no/such/server: no such program"]);
}

#[test]
fn missing_from_path() {
    let says = ["no-such-server-anywhere: no such program in any directory of PATH"];
    refused(&Case::new(), Path::new("no-such-server-anywhere"), 127, &says);
}

#[test]
fn directory() {
    refused(&Case::new(), Path::new("/etc"), 126, &["/etc: cannot be executed: it is a directory"]);
}

#[test]
fn not_executable() {
    let case = Case::new();
    let server = case.program("server", "#!/bin/sh\n");
    fs::set_permissions(&server, Permissions::from_mode(0o644)).unwrap();
    refused(&case, &server, 126, &["server: cannot be executed: it has no execute permission (chmod +x)"]);
}

#[test]
fn set_uid() {
    let case = Case::new();
    for mode in [0o4755, 0o2755] {
        let server = case.program("server", "#!/bin/sh\n");
        fs::set_permissions(&server, Permissions::from_mode(mode)).unwrap();
        refused(
            &case,
            &server,
            126,
            &["server: cannot be executed: it is set-uid or set-gid", "start ftrun as the user"],
        );
    }
}

#[test]
fn script_without_interpreter() {
    let case = Case::new();
    let says = |why: &'static str| ["script: cannot be executed: its ", why];
    let no_such = case.program("script", "#!/no/such/interpreter -x\n");
    refused(&case, &no_such, 126, &says("interpreter /no/such/interpreter does not exist"));
    let none = case.program("script", "#!\nexit 0\n");
    refused(&case, &none, 126, &says("first line `#!` names no interpreter"));
    let plain = case.program("script", "#!/etc/passwd\n");
    refused(&case, &plain, 126, &says("interpreter /etc/passwd has no execute permission"));
}

#[test]
fn neither_program_nor_script() {
    let case = Case::new();
    let server = case.program("server", "print('hello')\n");
    refused(&case, &server, 126, &["it is neither an ELF program nor a script with an interpreter line (#!)"]);
    let server = case.program("server", "");
    refused(&case, &server, 126, &["cannot be executed: it is empty"]);
}

#[test]
fn other_machine() {
    let case = Case::new();
    let own = fs::read(compiled(&case, "quiet", &[])).unwrap();
    // EI_CLASS 1 with e_machine 3: i386. e_machine 183: AArch64.
    for (class, machine, found) in [(1, 3, "32 bits and machine 3"), (2, 183, "64 bits and machine 183")] {
        let mut foreign = own.clone();
        foreign[4] = class;
        foreign[18] = machine;
        let server = case.program("server", foreign);
        refused(&case, &server, 126, &[found, "expected 64 bits and machine 62 (x86-64)"]);
    }
}

#[test]
fn damaged_program() {
    let case = Case::new();
    let mut image = fs::read(compiled(&case, "quiet", &["-static"])).unwrap();
    // The headers say what to load, and nothing of it is there.
    image.truncate(1024);
    let server = case.program("server", image);
    refused(&case, &server, 126, &["server: cannot be executed: "]);
}

#[test]
fn loader_missing() {
    let case = Case::new();
    let server = compiled(&case, "quiet", &["-Wl,--dynamic-linker=/no/such/loader"]);
    refused(
        &case,
        &server,
        126,
        &["quiet: cannot be executed: the loader (ELF interpreter) that it names does not exist"],
    );
}

/// It runs until it wants the second thread; then it is ended, and so is all that served it.
#[test]
fn second_thread() {
    let case = Case::new();
    let server = compiled(&case, "thread", &[]);
    let says = ["the server called clone to start a second thread", "configure the server to run single-threaded"];
    let mut record = ftrun();
    record.args(["record", "-o"]).arg(case.path("log")).arg("--").arg(&server);
    let mut run = case.ftrun(["--"]);
    run.arg(&server);
    for mut command in [record, run] {
        let outcome = case.start("thread", &mut command).and_then(|mut program| {
            case.ended(&mut program, Exit::Code(122), &says)?;
            let stdout = program.stdout()?;
            ensure!(stdout == b"one thread\n", "the server's standard output: {:?}", stdout.escape_ascii().to_string());
            Ok(())
        });
        verdict(outcome);
    }
    // What was recorded up to there is a log as any other.
    let mut replay = ftrun();
    replay.arg("replay").arg(case.path("log"));
    verdict(case.ends(replay, Exit::Code(0), &["the log ends while the server runs"]));
}

/// A call, an operation and a flag that are not replicated: the server gets an errno, ftrun names what it was.
#[test]
fn unknown_calls_are_named() {
    let guest = crate::guest::Guest::built("unknown_refused");
    let case = Case::new();
    let mut record = ftrun();
    record.args(["record", "-o"]).arg(case.path("log")).arg("--").arg(&guest.program);
    let outcome = case.start("refused", &mut record).and_then(|mut program| {
        case.ended(
            &mut program,
            Exit::Code(0),
            &["refused io_uring_setup (system call 425): not replicated", "the server gets errno 38"],
        )?;
        for refused in [
            ["refused prctl with operation 0x1234567", "the server gets errno 22"],
            ["refused prctl(PR_SET_MM)", "the server gets errno 22"],
            ["refused setsockopt(SO_ZEROCOPY)", "the server gets errno 92"],
            ["refused getsockopt with option 9 of level 9999", "the server gets errno 92"],
        ] {
            super::case::said(&program, &refused)?;
        }
        Ok(())
    });
    verdict(outcome);
}

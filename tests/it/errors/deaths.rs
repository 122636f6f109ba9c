//! Deaths at moments that are no failover: nobody is left who could go on, so everything ends and says so.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use nix::sys::signal::Signal;

use super::case::{Case, compiled, process, said, verdict};
use super::state::service;
use crate::support::group::ftrun;
use crate::support::process::Process;
use crate::support::program::{Exit, Program};
use crate::support::{DEADLINE, OFTEN, free_address, poll};

/// How often a moment that lasts some milliseconds is tried to be caught.
const ATTEMPTS: usize = 20;

#[test]
fn of_the_proxy() {
    let case = Case::new();
    let outcome = service(&case, "service").and_then(|(mut program, _)| {
        let status = case.status(&case.path("state"))?.expect("a service that runs");
        process(status.proxy.expect("a proxy").pid)?.signal(Signal::SIGKILL)?;
        let says = ["the proxy is gone, and with it all clients; the server is ended: start the service again"];
        case.ended(&mut program, Exit::Code(125), &says)
    });
    verdict(outcome);
}

/// A signal that ends ftrun before there is a server: ftrun ends by that signal.
#[test]
fn by_a_signal_before_the_server_runs() {
    let case = Case::new();
    verdict(signalled(&case));
}

fn signalled(case: &Case) -> Result<()> {
    // A proxy that takes the connection and never answers: the start waits for it.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let control = listener.local_addr()?.to_string();
    fs::create_dir(case.path("epochs"))?;
    let spec = format!("file:{}", case.path("epochs").display());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut command = case.ftrun(["--peer", "127.0.0.1:1", "--control", &control, "--arbiter", &spec, "--"]);
        let mut program = case.start("primary", command.arg(compiled(case, "quiet", &[])))?;
        let (_kept, _) = listener.accept()?;
        program.process().signal(signal)?;
        case.ended(&mut program, Exit::Signal(signal as i32), &["ended by", signal.as_str()])?;
        ensure!(program.stdout()?.is_empty(), "the server has run");
    }
    Ok(())
}

/// The child of a starting ftrun that is its backup: looked for without a pause, since the moment is short.
fn backup_of(program: &mut Program) -> Result<Process> {
    let pid = program.process().pid();
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end && program.exit()?.is_none() {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            if let Some(child) = Process::find(child)
                && child.command().contains(" --backup ")
            {
                return Ok(child);
            }
        }
        thread::yield_now();
    }
    bail!("no backup was started");
}

/// The backup is killed before it is in step: there was never a pair, so this is an error and no failover.
#[test]
fn of_the_backup_during_the_start() {
    for _ in 0..ATTEMPTS {
        let case = Case::new();
        let mut command = case.ftrun(["--"]);
        command.arg(compiled(&case, "echo", &[])).arg(free_address().unwrap().port().to_string());
        let outcome = case.start("start", &mut command).and_then(|mut program| {
            backup_of(&mut program)?.signal(Signal::SIGKILL)?;
            let mut end = None;
            poll("the end, or a server that goes on", OFTEN, || {
                end = program.exit()?;
                Ok((end.is_some() || said(&program, &["the backup is lost; the server goes on"]).is_ok()).then_some(()))
            })?;
            if end.is_none() {
                // It was in step already.
                return Ok(false);
            }
            case.ended(&mut program, Exit::Code(125), &["the backup was lost before it was in step"])?;
            Ok(true)
        });
        match outcome {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => verdict(Err(error)),
        }
    }
    panic!("in {ATTEMPTS} attempts the backup was never caught before it was in step");
}

/// ftrun is killed while it starts: what it started so far is needed by nobody.
#[test]
fn of_the_primary_during_the_start() {
    for _ in 0..ATTEMPTS {
        let case = Case::new();
        let mut command = case.ftrun(["--"]);
        command.arg(compiled(&case, "echo", &[])).arg(free_address().unwrap().port().to_string());
        let outcome = case.start("start", &mut command).and_then(|mut program| {
            let backup = backup_of(&mut program)?;
            program.process().signal(Signal::SIGKILL)?;
            ensure!(program.wait()? == Exit::Signal(libc::SIGKILL), "it is killed");
            poll("the backup to end or to take over", OFTEN, || {
                let took_over = said(&program, &["this backup takes over"]).is_ok();
                Ok((took_over || !backup.alive()).then_some(()))
            })?;
            if backup.alive() {
                return Ok(false);
            }
            case.nothing_left(&program)?;
            Ok(true)
        });
        match outcome {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => verdict(Err(error)),
        }
    }
    panic!("in {ATTEMPTS} attempts ftrun was never caught before its backup was in step");
}

/// The backup cannot keep the snapshot's contents.
#[test]
fn of_the_backup_by_its_own_error() {
    let case = Case::new();
    fs::create_dir(case.path("state")).unwrap();
    fs::write(case.path("state").join("content"), "no directory").unwrap();
    let mut command = case.ftrun(["--"]);
    command.arg(compiled(&case, "quiet", &[]));
    let says = ["the backup cannot be brought into step: the backup failed: ", "/state/content"];
    verdict(case.ends(command, Exit::Code(125), &says));
}

/// Nobody reads what ftrun says: a server is not ended by that.
#[test]
fn of_the_reader_of_messages() {
    let case = Case::new();
    let guest = crate::guest::Guest::built("unknown_refused");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut record = ftrun();
    record.args(["record", "-o"]).arg(case.path("log")).arg("--").arg(&guest.program).stderr(writer);
    let output = record.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", output.stdout.escape_ascii());
    assert!(String::from_utf8_lossy(&output.stdout).contains("parameters): ENOSYS"));
}

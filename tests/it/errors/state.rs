//! State directories: of no use, in use, and left behind by processes that were killed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::case::{Case, compiled, verdict};
use super::unprivileged::as_nobody;
use crate::support::group::ftrun;
use crate::support::program::{Exit, Program};
use crate::support::{DEADLINE, OFTEN, free_address, poll};

/// The server sends back what it gets.
pub(super) fn served(address: SocketAddr) -> Result<()> {
    let mut client = TcpStream::connect_timeout(&address, DEADLINE)?;
    client.set_read_timeout(Some(DEADLINE))?;
    client.write_all(b"are you there")?;
    let mut answer = [0; 13];
    client.read_exact(&mut answer)?;
    ensure!(&answer == b"are you there", "the answer is {:?}", answer.escape_ascii().to_string());
    Ok(())
}

/// A service in the case's state directory, which serves.
pub(super) fn service(case: &Case, name: &str) -> Result<(Program, SocketAddr)> {
    let server = compiled(case, "echo", &[]);
    let address = free_address()?;
    let mut command = case.ftrun(["--"]);
    let mut program = case.start(name, command.arg(server).arg(address.port().to_string()))?;
    case.wait_paired(&mut program, &case.path("state"))?;
    served(address)?;
    Ok((program, address))
}

#[test]
fn is_a_file() {
    let case = Case::new();
    fs::write(case.path("state"), "").unwrap();
    for options in
        [&["--", "true"][..], &["--backup", "--listen", "127.0.0.1:0"], &["--proxy", "--control", "127.0.0.1:0"]]
    {
        let says = ["the state directory ", "/state cannot be made; name another with --state-dir"];
        verdict(case.ends(case.ftrun(options), Exit::Code(125), &says));
    }
}

#[test]
fn cannot_be_written() {
    let case = Case::new();
    fs::create_dir(case.path("state")).unwrap();
    fs::set_permissions(case.path("state"), std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    for options in
        [&["--", "true"][..], &["--backup", "--listen", "127.0.0.1:0"], &["--proxy", "--control", "127.0.0.1:0"]]
    {
        let says = ["/state cannot be written: free it up, or name another with --state-dir", "Permission denied"];
        verdict(case.ends(as_nobody(&case, case.ftrun(options)), Exit::Code(125), &says));
    }
}

#[test]
fn is_in_use() {
    let case = Case::new();
    let outcome = service(&case, "first").and_then(|(mut first, address)| {
        let says = ["belongs to a service that runs (ftrun status --state-dir ", "name another with --state-dir"];
        let mut second = case.start("second", &mut case.ftrun(["--", "true"]))?;
        ensure!(second.wait()? == Exit::Code(125), "the second service's end");
        super::case::said(&second, &says)?;
        ensure!(second.family().is_empty(), "processes of the second service");
        served(address)?;
        first.process().signal(Signal::SIGTERM)?;
        case.ended(&mut first, Exit::Signal(libc::SIGTERM), &[])
    });
    verdict(outcome);
}

#[test]
fn nothing_runs_in_it() {
    let case = Case::new();
    let mut nowhere = ftrun();
    nowhere.args(["status", "--state-dir", "/no/such/directory"]);
    verdict(case.ends(
        nowhere,
        Exit::Code(125),
        &["nothing runs in /no/such/directory: there is no such state directory"],
    ));
    fs::create_dir(case.path("state")).unwrap();
    let mut empty = ftrun();
    empty.args(["status", "--state-dir"]).arg(case.path("state"));
    verdict(case.ends(empty, Exit::Code(125), &["nothing runs in ", "/state"]));
}

/// All processes of a service are killed at once: what they leave in the directory does not keep the next one from starting.
#[test]
fn is_used_again_after_kills() {
    let case = Case::new();
    let outcome = killed_and_started_again(&case);
    verdict(outcome);
}

fn killed_and_started_again(case: &Case) -> Result<()> {
    let (mut program, _) = service(case, "first")?;
    let family = program.family();
    // All at once: none is to see another one die, and to end in order.
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        family.iter().try_for_each(|process| process.signal(signal))?;
    }
    ensure!(program.wait()? == Exit::Signal(libc::SIGKILL), "it is killed");
    // Not only on their way out: with what they hold closed.
    poll("all processes to end", OFTEN, || Ok((!family.iter().any(|it| it.alive())).then_some(())))?;
    let sockets = |state: &Path| -> Result<Vec<String>> {
        let names = state.read_dir()?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
        let names = names.iter().map(|name| name.to_string_lossy().into_owned());
        Ok(names.filter(|name| name.ends_with(".sock")).collect())
    };
    let state = case.path("state");
    let left = sockets(&state)?;
    ensure!(left.len() == 3, "three processes that were killed leave three sockets, found {left:?} of {family:?}");
    let mut status = ftrun();
    let status = case.start("status", status.args(["status", "--state-dir"]).arg(&state))?.wait()?;
    ensure!(status == Exit::Code(125), "the status of nothing: {status:?}");
    ensure!(sockets(&state)?.is_empty(), "who looks removes what is left");

    let (mut program, _) = service(case, "second")?;
    program.process().signal(Signal::SIGTERM)?;
    case.ended(&mut program, Exit::Signal(libc::SIGTERM), &[])
}

//! Bit-identical or loud: a replica that does something else than the log says stops, says where, and never acts.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Client, NEVER, Scene, played, staged};
use crate::support::program::{Exit, Program};
use crate::support::status::Role;
use crate::support::trio::{said, wait_said};
use crate::support::verdict;

/// The records before the divergence that a report shows.
const LAST: usize = 10;

/// The report in what a program has said: from its first line to the last one that is indented.
fn report(program: &Program) -> Result<String> {
    let text = String::from_utf8(program.stderr()?).context("messages in UTF-8")?;
    let mut lines = text.lines().skip_while(|line| !line.contains("divergence at LSN "));
    let first = lines.next().context("no report")?;
    let rest: Vec<_> = lines.take_while(|line| line.starts_with(' ')).collect();
    Ok([&[first], rest.as_slice()].concat().join("\n"))
}

fn check(report: &str) -> Result<()> {
    for wanted in ["divergence at LSN ", " in write", "  expected: ", "  found:    ", "  rip 0x", "  rdi 0x", " r15 0x"]
    {
        ensure!(report.contains(wanted), "the report lacks \"{wanted}\":\n{report}");
    }
    let (_, last) = report.split_once("the records before it:").context("no records in the report")?;
    let (found, poll) = (last.trim().lines().count(), last.contains("poll("));
    ensure!(found == LAST && poll, "{found} records, {LAST} expected:\n{report}");
    Ok(())
}

/// Flips one bit of the replica's memory, in the token of this client.
fn flip(scene: &mut Scene, client: &mut Client) -> Result<u64> {
    let address = client.ask("WHERE")?;
    let address = address.strip_prefix("AT ").context("an address")?;
    let address = u64::from_str_radix(address, 16)?;
    scene.wait_caught_up()?;
    let status = scene.trio.status()?.context("no status")?;
    let replica = status.only(Role::Backup).and_then(|it| it.server_pid).context("no replica")?;
    let memory = File::options().read(true).write(true).open(format!("/proc/{replica}/mem"))?;
    let mut byte = [0];
    memory.read_exact_at(&mut byte, address)?;
    memory.write_all_at(&[byte[0] ^ 1], address)?;
    Ok(address)
}

/// The replica ends, and the primary goes on alone.
fn is_left(scene: &mut Scene, client: &mut Client) -> Result<()> {
    ensure!(!said(&scene.trio.backup, |it| it.contains("takes over"))?, "a replica that diverged takes over");
    let solo = scene.trio.wait_solo()?;
    let pid = solo.only(Role::Solo).map(|it| it.ftrun_pid);
    ensure!(pid == Some(scene.trio.primary.process().pid()), "not the primary is left: {solo:?}");
    for _ in 0..3 {
        let told = client.token()?;
        ensure!(client.ask("GET")? == told, "the primary lost a token");
    }
    Ok(())
}

/// One byte of the replica's memory flips, in what it is going to say.
fn scenario(scene: &mut Scene) -> Result<()> {
    let mut client = scene.client("client")?;
    let held = client.token()?;
    flip(scene, &mut client)?;

    let since = Instant::now();
    ensure!(client.ask("GET")? == held, "the client gets what the primary did not say");
    let exit = scene.trio.backup.wait()?;
    println!("the divergence is seen after {} ms", since.elapsed().as_millis());
    ensure!(exit == Exit::Code(123), "a replica that diverged ends with {exit:?}, not 123");
    check(&report(&scene.trio.backup)?).context("what the backup says")?;
    wait_said(&scene.trio.primary, "the primary to go solo", |it| it.ends_with("goes on unprotected in epoch 2"))?;
    check(&report(&scene.trio.primary)?).context("what the primary says")?;
    is_left(scene, &mut client)
}

/// The same, and the server says other things only: the next look at memory finds it.
fn unseen(scene: &mut Scene) -> Result<()> {
    let mut client = scene.client("client")?;
    client.token()?;
    let page = flip(scene, &mut client)? & !4095;
    // Enough for a look, wherever the one before was.
    for _ in 0..100 {
        client.ask("WHERE")?;
    }
    ensure!(scene.trio.backup.wait()? == Exit::Code(123), "the replica has diverged");
    let report = report(&scene.trio.backup)?;
    for wanted in [" in memory of ", &format!("the first page that differs is {page:#x}, in ")] {
        ensure!(report.contains(wanted), "the report lacks \"{wanted}\":\n{report}");
    }
    is_left(scene, &mut client)
}

#[test]
fn a_flipped_bit_of_a_replica_is_said_and_the_client_does_not_notice() {
    verdict(staged(None, NEVER, scenario));
}

#[test]
fn a_flipped_bit_that_is_not_said_is_found_by_a_look_at_memory() {
    verdict(Scene::start(None, NEVER, 100).and_then(|scene| played(scene, unseen)));
}

//! Never ahead: a replica executes only up to a position that it has in hand.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{NEVER, Scene, staged};
use crate::support::line::Way;
use crate::support::status::{Replica, Role, Status};
use crate::support::trio::computed;
use crate::support::{OFTEN, poll, verdict};

/// What the primary's server is to compute while the replica must not move.
const AHEAD: u64 = 300_000_000;

fn server_of(status: &Status, role: Role) -> Result<(Replica, i32)> {
    let replica = status.only(role).with_context(|| format!("no {role:?}"))?;
    Ok((replica.clone(), replica.server_pid.context("no server")?))
}

/// Where a process stands, as far as it can be seen from outside: what it has computed, its system call, stack and
/// instruction pointer.
fn standing(pid: i32) -> Result<(u64, String)> {
    let path = format!("/proc/{pid}/syscall");
    Ok((computed(pid)?, std::fs::read_to_string(&path).context(path)?))
}

fn wait_computed(pid: i32, more: u64) -> Result<()> {
    let from = computed(pid)?;
    poll("the primary's server to compute", OFTEN, || Ok((computed(pid)? >= from + more).then_some(())))
}

/// The log stops while the primary's server computes: for as long as that takes, and whatever becomes of the primary, the
/// replica stands still.
fn computing(scene: &mut Scene) -> Result<()> {
    let mut client = scene.client("client")?;
    client.token()?;
    scene.wait_caught_up()?;
    let (before, server) = server_of(&scene.trio.status()?.context("no status")?, Role::Primary)?;
    client.send("BURN 1000000000000")?;
    wait_computed(server, AHEAD)?;
    scene.wait_caught_up()?;
    let (after, replica) = server_of(&scene.trio.status()?.context("no status")?, Role::Backup)?;
    ensure!(after.replayed_lsn > before.lsn, "the request is not in the log: {before:?} {after:?}");
    let stands = standing(replica)?;
    wait_computed(server, AHEAD)?;
    ensure!(standing(replica)? == stands, "the replica moves while its log stands");
    scene.trio.primary.process().signal(Signal::SIGSTOP)?;
    wait_computed(server, AHEAD)?;
    ensure!(standing(replica)? == stands, "the replica moves while its primary is stopped");
    Ok(())
}

/// The primary serves on while its log does not get through.
fn serving(scene: &mut Scene) -> Result<()> {
    let mut client = scene.client("client")?;
    client.token()?;
    scene.wait_caught_up()?;
    scene.channel.hold(Way::There);
    let (held, replica) = server_of(&scene.trio.status()?.context("no status")?, Role::Backup)?;
    let stands = standing(replica)?;
    for request in 2..=20 {
        client.send("TOKEN")?;
        scene.trio.wait_server(&format!("answered {request}"))?;
        ensure!(standing(replica)? == stands, "the replica moves without a log, request {request}");
    }
    let (now, _) = server_of(&scene.trio.status()?.context("no status")?, Role::Backup)?;
    ensure!((now.lsn, now.replayed_lsn) == (held.lsn, held.replayed_lsn), "{held:?} became {now:?}");
    ensure!(!client.0.ready()?, "a reply without a log");
    scene.channel.release(Way::There);
    // The status itself is refused when a replica is ahead of what it has received.
    scene.wait_caught_up()?;
    for _ in 2..=20 {
        client.reply()?;
    }
    Ok(())
}

#[test]
fn a_replica_stands_while_the_primary_computes() {
    verdict(staged(None, NEVER, computing));
}

#[test]
fn a_replica_stands_while_no_log_comes() {
    verdict(staged(None, NEVER, serving));
}

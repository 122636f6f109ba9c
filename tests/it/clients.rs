//! Clients that do not behave: what they do is between them and the server, and touches nobody else.

use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use tempfile::TempDir;

use crate::rules::{Client, ledger};
use crate::support::group::{Group, Victim};
use crate::support::status::Role;
use crate::support::trio::computed;
use crate::support::wire::Wire;
use crate::support::{OFTEN, free_address, poll, verdict};

/// About a third of a second in which the server accepts nobody.
const STEPS: u64 = 200_000_000;

/// Nanoseconds of computing after which the server is in its long request, and the log that says so is shipped.
const A_WHILE: u64 = 60_000_000;

/// Some clients reset their connections while these wait to be accepted: the server gets them all the same, each with a
/// peer that has no name any more. The others are served, across a failover too.
#[test]
fn some_reset_before_they_are_accepted() {
    verdict((|| {
        let dir = TempDir::new()?;
        let address = free_address()?;
        let mut group = Group::start(&ledger(address)?, address, dir.path())?;
        let outcome = resets(&mut group);
        outcome.map_err(|error| group.explain(error))
    })());
}

fn resets(group: &mut Group) -> Result<()> {
    let before = group.wait_paired()?;
    let mut held = Client(Wire::connect(group.address(), "the one who holds a token")?);
    let token = held.token()?;
    reset_while_it_computes(group, &mut held)?;
    ensure!(held.ask("GET")? == token, "the server has forgotten a token");
    group.kill(Victim::Server, &before)?;
    group.wait_solo(Victim::Server, &before)?;
    ensure!(held.ask("GET")? == token, "the server has forgotten a token at the failover");
    reset_while_it_computes(group, &mut held)?;
    let mut late = Client(Wire::connect(group.address(), "a late one")?);
    ensure!(late.ask("GET")? == token, "a late client sees another server");
    held.0.end()?;
    late.0.end()?;
    group.stop().map(drop)
}

fn reset_while_it_computes(group: &Group, client: &mut Client) -> Result<()> {
    client.send(&format!("BURN {STEPS}"))?;
    drop(impatient(group)?);
    ensure!(client.reply()?.starts_with("BURNT "), "BURN has another answer");
    Ok(())
}

/// Connections with a request under way, which are reset when they are dropped.
fn impatient(group: &Group) -> Result<Vec<TcpStream>> {
    let connect = |_| {
        let waits = TcpStream::connect(group.address())?;
        std::io::Write::write_all(&mut &waits, b"GET\n")?;
        setsockopt(&waits, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
        Ok(waits)
    };
    (0..5).map(connect).collect()
}

/// The server has learnt from poll that somebody waits, and dies before it accepts. The next one goes on from there: its
/// accept must not wait for a client that comes some day.
#[test]
fn some_reset_before_the_server_dies() {
    verdict((|| {
        let dir = TempDir::new()?;
        let address = free_address()?;
        let mut group = Group::start(&ledger(address)?, address, dir.path())?;
        let outcome = dies_before_it_accepts(&mut group);
        outcome.map_err(|error| group.explain(error))
    })());
}

fn dies_before_it_accepts(group: &mut Group) -> Result<()> {
    let before = group.wait_paired()?;
    let server = before.only(Role::Primary).and_then(|it| it.server_pid).context("no server")?;
    let mut one = Client(Wire::connect(group.address(), "one")?);
    let mut two = Client(Wire::connect(group.address(), "two")?);
    let token = one.token()?;
    ensure!(two.ask("GET")? == token, "two clients see two servers");
    let wait_computing = || {
        let from = computed(server)?;
        poll("the server to compute", OFTEN, || Ok((computed(server)? >= from + A_WHILE).then_some(())))
    };
    one.send(&format!("BURN {STEPS}"))?;
    wait_computing()?;
    two.send(&format!("BURN {}", 3 * STEPS))?;
    let waiting = impatient(group)?;
    ensure!(one.reply()?.starts_with("BURNT "), "BURN has another answer");
    // It has served the first, has learnt of all others by one poll, and serves the second before it looks at the listener.
    wait_computing()?;
    drop(waiting);
    group.kill(Victim::Server, &before)?;
    group.wait_solo(Victim::Server, &before)?;
    ensure!(two.reply()?.starts_with("BURNT "), "BURN has another answer");
    ensure!(one.ask("GET")? == token && two.ask("GET")? == token, "the server has forgotten a token");
    one.0.end()?;
    two.0.end()?;
    group.stop().map(drop)
}

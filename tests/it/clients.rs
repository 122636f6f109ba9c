//! Clients that do not behave: what they do is between them and the server, and touches nobody else.

use std::net::TcpStream;

use anyhow::{Result, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use tempfile::TempDir;

use crate::rules::{Client, ledger};
use crate::support::group::{Group, Victim};
use crate::support::wire::Wire;
use crate::support::{free_address, verdict};

/// About a third of a second in which the server accepts nobody.
const STEPS: u64 = 200_000_000;

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
    for _ in 0..5 {
        let waits = TcpStream::connect(group.address())?;
        std::io::Write::write_all(&mut &waits, b"GET\n")?;
        setsockopt(&waits, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
    }
    ensure!(client.reply()?.starts_with("BURNT "), "BURN has another answer");
    Ok(())
}

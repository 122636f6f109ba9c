//! A server that becomes another program, before and after its primary is lost.

use anyhow::Result;

use super::service::{Service, same_as_native, same_at_random, same_when};
use crate::support::group::Victim;

const SERVER: &str = "exec";

#[test]
fn a_replica_becomes_the_same_program() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["about", "change keep", "about", "again one", "about"])?;
        service.kill()?;
        service.ask_all(&["about", "fail", "again two", "about"])
    });
}

#[test]
fn a_survivor_becomes_another_program() {
    same_when(SERVER, 1, Victim::Primary, |service| {
        service.ask_all(&["change close", "about"])?;
        service.kill()?;
        service.ask_all(&["about", "again one", "about", "fail", "again two", "again three", "about"])
    });
}

#[test]
fn wherever_the_primary_dies() {
    same_at_random(SERVER, 6, true, |service: &mut Service| -> Result<()> {
        service.ask_all(&["again one", "about", "change keep", "again two", "fail", "again three", "about"])?;
        service.ask_all(&["again four", "again five", "about"])
    });
}

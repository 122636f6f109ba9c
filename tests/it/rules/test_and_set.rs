//! One primary: of two replicas that live and do not hear each other, one goes on.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::{Outcome, holds, is_noticed, staged};
use crate::support::line::Way;
use crate::support::program::Exit;
use crate::support::trio::said;
use crate::support::{OFTEN, poll};

/// Both replicas live, the channel between them is cut, and the proxy's word of a new epoch, which would make the slower
/// one end by itself, does not reach them.
fn scenario(without: Option<&str>) -> Result<Outcome> {
    staged(without, 1000, |scene| {
        let mut client = scene.client("client")?;
        let held = client.token()?;
        scene.primary_control.hold(Way::Back);
        scene.backup_control.hold(Way::Back);
        let since = Instant::now();
        scene.channel.cut();
        let trio = &mut scene.trio;
        let (solo, live, ended) = poll("both replicas to have asked the arbiter", OFTEN, || {
            let solo = said(&trio.primary, |line| line.ends_with("goes on unprotected in epoch 2"))?;
            let live = said(&trio.backup, |line| line.ends_with("takes over in epoch 2"))?;
            let ended = trio.primary.exit()?.or(trio.backup.exit()?);
            Ok(((solo && live) || ended.is_some()).then_some((solo, live, ended)))
        })?;
        if solo && live {
            let what = "two replicas act, both by epoch 2".to_owned();
            return Ok(Outcome::Violated { what, after: since.elapsed() });
        }
        if ended != Some(Exit::Code(124)) {
            bail!("the one that lost ends with {ended:?}, not 124");
        }
        scene.primary_control.release(Way::Back);
        scene.backup_control.release(Way::Back);
        ensure!(client.ask("GET")? == held, "the client is served by another history");
        scene.trio.wait_solo()?;
        Ok(Outcome::Held)
    })
}

#[test]
fn test_and_set_holds() {
    holds(scenario);
}

#[test]
fn test_and_set_off_is_noticed() {
    is_noticed("test-and-set", scenario);
}

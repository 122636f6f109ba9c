//! Deduplication: what a new primary sends again reaches the client once.

use std::time::Instant;

use anyhow::Result;

use super::{NEVER, Outcome, holds, is_noticed, staged};
use crate::support::line::Way;

const LETTERS: usize = 300_000;

/// The proxy has passed a reply on, but word of that does not reach the backup, which therefore keeps it and sends it again.
fn scenario(without: Option<&str>) -> Result<Outcome> {
    staged(without, NEVER, |scene| {
        let mut client = scene.client("client")?;
        let held = client.token()?;
        scene.backup_control.hold(Way::Back);
        client.send(&format!("BIG {LETTERS}"))?;
        let letters = (0..LETTERS).map(|i| b"abcdefghijklmnopqrstuvwxyz"[(i * 7 + i / 26) % 26]);
        client.0.expect(&letters.chain([b'\n']).collect::<Vec<_>>())?;
        let since = Instant::now();
        scene.trio.kill_primary()?;
        scene.trio.wait_status("the proxy to follow the new primary", |it| it.epoch == 2)?;
        scene.backup_control.release(Way::Back);
        let found = client.ask("GET")?;
        scene.trio.wait_solo()?;
        if found == held {
            return Ok(Outcome::Held);
        }
        let repeated = found.get(..20).unwrap_or(&found);
        let what = format!("instead of the next reply a client gets {} bytes again: {repeated} ...", found.len());
        Ok(Outcome::Violated { what, after: since.elapsed() })
    })
}

#[test]
fn deduplication_holds() {
    holds(scenario);
}

#[test]
fn deduplication_off_is_noticed() {
    is_noticed("deduplication", scenario);
}

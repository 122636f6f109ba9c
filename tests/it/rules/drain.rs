//! Drain before live: a backup executes what it has acknowledged before it acts by itself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{NEVER, Outcome, compare, holds, is_noticed, staged};
use crate::support::status::Role;
use crate::support::trio::computed;

/// How much the replica is to compute before it reaches the acknowledged request: processor time, so that it takes at
/// least as long on a busy machine.
const BEHIND: Duration = Duration::from_millis(1500);
const STEPS: f64 = 50e6;

/// The replica lags, because it computes what the primary has computed before; the primary dies.
fn scenario(without: Option<&str>) -> Result<Outcome> {
    staged(without, NEVER, |scene| {
        let mut client = scene.client("client")?;
        client.token()?;
        let server = scene.trio.server.context("no server")?.pid();
        let before = computed(server)?;
        client.ask(&format!("BURN {STEPS}"))?;
        let steps = STEPS * BEHIND.div_duration_f64(Duration::from_nanos(computed(server)? - before));
        scene.wait_caught_up()?;
        client.send(&format!("BURN {steps:.0}\nTOKEN"))?;
        client.reply()?;
        let told = client.reply()?;
        let status = scene.trio.status()?.context("no status")?;
        let backup = status.only(Role::Backup).context("no backup")?;
        ensure!(backup.replayed_lsn < backup.lsn, "the replica does not lag, nothing can be shown: {backup:?}");
        let since = Instant::now();
        scene.trio.kill_primary()?;
        let mut fresh = scene.client("another client")?;
        let outcome = compare(&told, &fresh.ask("GET")?, since);
        if let Outcome::Held = outcome {
            ensure!(fresh.ask("GET")? == client.ask("GET")?, "the two connections see different servers");
        }
        scene.trio.wait_solo()?;
        Ok(outcome)
    })
}

#[test]
fn drain_rule_holds() {
    holds(scenario);
}

#[test]
fn drain_rule_off_is_noticed() {
    is_noticed("drain", scenario);
}

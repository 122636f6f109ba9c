//! Output rule: no byte reaches a client before the backup holds the log that produced it.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{NEVER, Outcome, compare, holds, is_noticed, staged};
use crate::support::line::Way;
use crate::support::status::Role;

/// The primary answers while its log does not get through, and dies with it.
fn scenario(without: Option<&str>) -> Result<Outcome> {
    staged(without, NEVER, |scene| {
        let mut client = scene.client("client")?;
        client.token()?;
        scene.channel.hold(Way::There);
        client.send("TOKEN")?;
        scene.trio.wait_server("answered 2")?;
        // The proxy has taken the answer when it takes another client, who comes later.
        let _later = scene.client("another client")?;
        scene.trio.wait_server("accepted 2")?;
        let early = client.0.ready()?;
        let status = scene.trio.wait_status("the log to be ahead of the backup", |it| {
            it.only(Role::Primary).is_some_and(|it| it.acked_lsn < it.lsn)
        })?;
        let since = Instant::now();
        scene.trio.kill_primary()?;
        scene.channel.cut();
        let told = client.reply()?;
        let mut fresh = scene.client("a client afterwards")?;
        let outcome = compare(&told, &fresh.ask("GET")?, since);
        ensure!(early == matches!(outcome, Outcome::Violated { .. }), "told early: {early}; {outcome:?}; {status:?}");
        if let Outcome::Held = outcome {
            ensure!(fresh.ask("GET")? == client.ask("GET")?, "the two connections see different servers");
        }
        scene.trio.wait_solo()?;
        Ok(outcome)
    })
}

#[test]
fn output_rule_holds() {
    holds(scenario);
}

#[test]
fn output_rule_off_is_noticed() {
    is_noticed("output", scenario);
}

//! Stop acknowledging before claiming: from the moment when a backup asks for an epoch, it lets nothing of the old primary out.

use std::fs;
use std::time::Instant;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::{Outcome, compare, holds, is_noticed, staged};
use crate::support::trio::wait_said;
use crate::support::{OFTEN, poll};

/// A backup asks for an epoch while its primary, suspected wrongly, lives and answers; the arbiter is away.
fn scenario(without: Option<&str>) -> Result<Outcome> {
    staged(without, 1000, |scene| {
        let mut client = scene.client("client")?;
        client.token()?;
        let arbiter = scene.trio.settings.arbiter();
        let away = arbiter.with_extension("away");
        fs::rename(&arbiter, &away)?;
        let tracer = scene.trio.primary.process();
        tracer.signal(Signal::SIGSTOP)?;
        let asks = |line: &str| line.starts_with("ftrun: epoch 2 cannot be claimed") && line.contains("asking again");
        wait_said(&scene.trio.backup, "the backup to ask for an epoch", asks)?;
        tracer.signal(Signal::SIGCONT)?;
        let since = Instant::now();
        client.send("TOKEN")?;
        scene.trio.wait_server("answered 2")?;
        let _later = scene.client("another client")?;
        scene.trio.wait_server("accepted 2")?;
        let early = match without {
            // The way of a release is longer than that of what the server says of itself.
            Some(_) => poll("the answer to be let out", OFTEN, || Ok(client.0.ready()?.then_some(true)))?,
            None => client.0.ready()?,
        };
        let noticed = since.elapsed();
        fs::rename(&away, &arbiter)?;
        let told = client.reply()?;
        let outcome = compare(&told, &client.ask("GET")?, since);
        ensure!(matches!(outcome, Outcome::Held), "{outcome:?}");
        scene.trio.wait_solo()?;
        if early {
            let what = "the old primary's answer is let out by a backup that may have won an epoch".to_owned();
            return Ok(Outcome::Violated { what, after: noticed });
        }
        Ok(Outcome::Held)
    })
}

#[test]
fn stop_rule_holds() {
    holds(scenario);
}

#[test]
fn stop_rule_off_is_noticed() {
    is_noticed("stop", scenario);
}

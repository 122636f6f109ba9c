//! Input rule: a client's bytes that a kernel has acknowledged are not lost with a machine.

use std::time::Instant;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::{NEVER, Outcome, compare, holds, is_noticed, staged};
use crate::support::process::Process;
use crate::support::trio::said;
use crate::support::{OFTEN, poll};

/// The server's kernel gives it a request, and the machine dies before anything of that is logged.
fn scenario(without: Option<&str>) -> Result<Outcome> {
    staged(without, NEVER, |scene| {
        let mut client = scene.client("client")?;
        client.token()?;
        scene.wait_caught_up()?;
        let server = scene.trio.server.context("no server")?;
        let tracer = scene.trio.primary.process();
        let state = |process: Process, wanted, what: &str| {
            poll(what, OFTEN, || Ok((process.state() == Some(wanted)).then_some(())))
        };
        state(server, 'S', "the server to wait for input")?;
        tracer.signal(Signal::SIGSTOP)?;
        state(tracer, 'T', "the tracer to stand")?;
        client.send("TOKEN")?;
        // Either its wait is recorded by the tracer, which stands, or in process, and it has answered.
        let primary = &scene.trio.primary;
        poll("the server to have the request", OFTEN, || {
            let has = server.state() == Some('t') || said(primary, |line| line == "answered 2")?;
            Ok(has.then_some(()))
        })?;
        let since = Instant::now();
        scene.trio.kill_primary()?;
        match client.reply() {
            Ok(told) => {
                let outcome = compare(&told, &client.ask("GET")?, since);
                scene.trio.wait_solo()?;
                Ok(outcome)
            }
            Err(error) => {
                let what = format!("a request that was acknowledged is never answered: {error:#}");
                Ok(Outcome::Violated { what, after: since.elapsed() })
            }
        }
    })
}

#[test]
fn input_rule_holds() {
    holds(scenario);
}

#[test]
fn input_rule_off_is_noticed() {
    is_noticed("input", scenario);
}

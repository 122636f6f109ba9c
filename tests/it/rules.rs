//! The rules of docs/protocol.md on running processes, each with its switch.
//!
//! A scenario forces the situation that a rule is for, by holding, cutting and stopping, never by chance. With the rule on
//! it must end well; with the rule switched off (`--test-without`) the violation must be seen: otherwise the scenario
//! shows nothing.

mod deduplication;
mod divergence;
mod drain;
mod input;
mod never_ahead;
mod output;
mod stalled;
mod stop;
mod test_and_set;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::guest::compiled;
use crate::support::line::Line;
use crate::support::status::Role;
use crate::support::trio::{Settings, Trio};
use crate::support::wire::Wire;
use crate::support::{OFTEN, free_address, listening, poll, server_scripts, verdict};

/// So long that no silence counts as a death: only a closed channel leads to a suspicion.
const NEVER: u64 = 60_000;

/// How a scenario ended.
#[derive(Debug)]
enum Outcome {
    /// As it must with the rule on.
    Held,
    /// The rule was broken, and it was seen.
    Violated { what: String, after: Duration },
}

/// The scenario ends well with every rule on.
fn holds(scenario: impl Fn(Option<&str>) -> Result<Outcome>) {
    verdict(scenario(None).and_then(|outcome| {
        ensure!(matches!(outcome, Outcome::Held), "with every rule on: {outcome:?}");
        Ok(())
    }));
}

/// With the rule switched off the scenario shows a violation.
fn is_noticed(rule: &str, scenario: impl Fn(Option<&str>) -> Result<Outcome>) {
    verdict(scenario(Some(rule)).and_then(|outcome| {
        let Outcome::Violated { what, after } = outcome else {
            anyhow::bail!("without the rule '{rule}' nothing was noticed");
        };
        println!("without the rule '{rule}', seen after {} ms: {what}", after.as_millis());
        Ok(())
    }));
}

/// The command line of the ledger (tests/servers/ledger.c).
pub(crate) fn ledger(address: SocketAddr) -> Result<Vec<OsString>> {
    let source = server_scripts().join("ledger.c");
    let text = fs::read_to_string(&source).context("ledger.c")?;
    let program = compiled(&source, &text, "");
    Ok(vec![program.into(), address.ip().to_string().into(), address.port().to_string().into()])
}

/// The three processes, with a line between any two of them that a scenario needs.
struct Scene {
    trio: Trio,
    address: SocketAddr,
    /// From the primary (there) to the backup (back).
    channel: Line,
    /// From the primary (there) to the proxy (back).
    primary_control: Line,
    /// From the backup (there) to the proxy (back).
    backup_control: Line,
    _dir: TempDir,
}

impl Scene {
    fn start(without: Option<&str>, timeout: u64, memory_check: u64) -> Result<Self> {
        let dir = TempDir::new()?;
        let without = without.map(str::to_owned);
        // A log that stands is to stand, whatever the server computes.
        let settings = Settings { without, timeout, memory_check, tells_progress: false, ..Settings::new(dir.path()) };
        let (control, listen, address) = (free_address()?, free_address()?, free_address()?);
        let proxy = settings.proxy(control)?;
        poll("the proxy to listen", OFTEN, || Ok(listening(control)?.then_some(())))?;
        let (primary_control, backup_control) = (Line::to(control)?, Line::to(control)?);
        let backup = settings.backup(listen, backup_control.address())?;
        poll("the backup to listen", OFTEN, || Ok(listening(listen)?.then_some(())))?;
        let channel = Line::to(listen)?;
        let primary = settings.primary(channel.address(), primary_control.address(), &ledger(address)?)?;
        let trio = Trio { settings, server: None, primary, backup, proxy };
        Ok(Self { trio, address, channel, primary_control, backup_control, _dir: dir })
    }

    fn client(&self, name: &str) -> Result<Client> {
        Ok(Client(Wire::connect(self.address, name)?))
    }

    /// Waits until the backup has executed all that the primary has logged.
    fn wait_caught_up(&self) -> Result<()> {
        self.trio.wait_status("the backup to catch up", |it| {
            let logged = it.only(Role::Primary).and_then(|it| it.lsn);
            logged.is_some() && it.only(Role::Backup).and_then(|it| it.replayed_lsn) == logged
        })?;
        Ok(())
    }
}

/// Starts the three and lets a scenario happen; an error shows what they wrote.
fn staged<T>(without: Option<&str>, timeout: u64, act: impl FnOnce(&mut Scene) -> Result<T>) -> Result<T> {
    played(Scene::start(without, timeout, 0)?, act)
}

fn played<T>(mut scene: Scene, act: impl FnOnce(&mut Scene) -> Result<T>) -> Result<T> {
    let address = scene.address;
    let outcome = scene.trio.wait_paired(address).and_then(|_| act(&mut scene));
    outcome.map_err(|error| scene.trio.explain(error))
}

/// A client of the ledger.
pub(crate) struct Client(pub(crate) Wire);

impl Client {
    /// Sends a request and takes the reply, one line.
    pub(crate) fn ask(&mut self, request: &str) -> Result<String> {
        self.send(request)?;
        self.reply()
    }

    pub(crate) fn send(&mut self, request: &str) -> Result<()> {
        self.0.send(format!("{request}\n").as_bytes())
    }

    pub(crate) fn reply(&mut self) -> Result<String> {
        let line = String::from_utf8(self.0.line()?).context("a reply in ASCII")?;
        Ok(line.trim_end().to_owned())
    }

    /// What the server must hold after the reply to TOKEN.
    pub(crate) fn token(&mut self) -> Result<String> {
        Ok(held_after(&self.ask("TOKEN")?))
    }
}

/// The answer to GET that goes with an answer to TOKEN.
fn held_after(told: &str) -> String {
    told.replacen("TOKEN", "HOLDS", 1)
}

/// Whether what a client was told is what the server holds.
fn compare(told: &str, holds: &str, since: Instant) -> Outcome {
    if held_after(told) == holds {
        return Outcome::Held;
    }
    Outcome::Violated { what: format!("a client was told {told}, the server {holds}"), after: since.elapsed() }
}

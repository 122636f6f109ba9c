//! One of the servers of `tests/guests/servers`, run natively or replicated, with a client that drives it line by line.
//!
//! A test is one function that drives a service. It is run twice: natively, where [`Service::kill`] does nothing, and replicated,
//! where it kills the primary's server. What the client saw, and how the server ended, must be the same.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::trio::Trio;
use crate::guest;
use crate::support::group::Victim;
use crate::support::program::{Exit, Program};
use crate::support::wire::Wire;
use crate::support::{OFTEN, free_address, listening, poll};

/// Who runs the server.
#[expect(clippy::large_enum_variant, reason = "there is one of it in a test")]
#[derive(Debug)]
enum Runner {
    Native(Program),
    Replicated(Trio),
}

/// When the primary dies, besides where the driving function says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// Where the function says so.
    AsScripted,
    /// Instead before this request (counted from 0).
    Before(usize),
    /// Instead right after this request was sent, without waiting for the answer.
    Within(usize),
}

/// A server and its client.
#[derive(Debug)]
pub(crate) struct Service {
    runner: Runner,
    addresses: Vec<SocketAddr>,
    work: PathBuf,
    wire: Option<Wire>,
    seen: Vec<String>,
    asked: usize,
    strike: Strike,
    victim: Victim,
    _directory: TempDir,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    seen: Vec<String>,
    /// How many requests there were.
    pub(crate) asked: usize,
    exit: Exit,
    stdout: Vec<u8>,
}

impl Service {
    fn start(name: &str, listeners: usize, replicated: bool, strike: Strike, victim: Victim) -> Result<Self> {
        let directory = TempDir::new()?;
        let work = directory.path().join("work");
        fs::create_dir(&work)?;
        let addresses: Vec<_> = (0..listeners).map(|_| free_address()).collect::<Result<_>>()?;
        let program = guest::server(name).to_str().context("a path in UTF-8")?.to_owned();
        let ports = addresses.iter().map(|address| address.port().to_string());
        let command: Vec<String> = [program].into_iter().chain(ports).collect();
        let runner = if replicated {
            Runner::Replicated(Trio::start(&command, &addresses, directory.path(), &work)?)
        } else {
            Runner::Native(start_natively(&command, &addresses, directory.path(), &work)?)
        };
        let wire = Some(Wire::connect(addresses[0], "orders")?);
        Ok(Self { runner, addresses, work, wire, seen: Vec::new(), asked: 0, strike, victim, _directory: directory })
    }

    /// Runs `drive` on a fresh service to the server's end.
    pub(crate) fn run(
        name: &str,
        listeners: usize,
        replicated: bool,
        (strike, victim): (Strike, Victim),
        drive: impl Fn(&mut Self) -> Result<()>,
    ) -> Result<Outcome> {
        let mut service = Self::start(name, listeners, replicated, strike, victim)?;
        let driven = drive(&mut service).and_then(|()| service.finish());
        driven.map_err(|error| {
            let seen = service.seen.join("\n  ");
            let error = match &service.runner {
                Runner::Native(program) => program.explain(error),
                Runner::Replicated(trio) => trio.explain(error),
            };
            error.context(format!("after:\n  {seen}"))
        })
    }

    /// Sends a request, takes one line of the answer.
    pub(crate) fn ask(&mut self, line: &str) -> Result<()> {
        if self.strike == Strike::Before(self.asked) {
            self.strike_now()?;
        }
        self.wire()?.send(format!("{line}\n").as_bytes())?;
        if self.strike == Strike::Within(self.asked) {
            self.strike_now()?;
        }
        self.asked += 1;
        self.seen.push(format!("> {line}"));
        self.more()
    }

    /// Sends requests, one after the other.
    pub(crate) fn ask_all(&mut self, lines: &[&str]) -> Result<()> {
        lines.iter().try_for_each(|line| self.ask(line))
    }

    /// Takes one more line of the answer.
    pub(crate) fn more(&mut self) -> Result<()> {
        let line = self.wire()?.line()?;
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        self.seen.push(text);
        Ok(())
    }

    /// The last line must be this one, natively and replicated.
    pub(crate) fn expect(&mut self, line: &str) -> Result<()> {
        let last = self.seen.last().map(String::as_str);
        ensure!(last == Some(line), "expected {line:?}, found {last:?}");
        Ok(())
    }

    /// The last line.
    pub(crate) fn last(&self) -> &str {
        self.seen.last().map_or("", String::as_str)
    }

    /// After a failover the last line must be `replicated`, natively it is `native`.
    pub(crate) fn differs(&mut self, native: &str, replicated: &str) -> Result<()> {
        self.expect(if self.is_replicated() { replicated } else { native })?;
        self.seen.pop();
        Ok(())
    }

    /// A request that names a port, which differs from run to run: only its answer counts.
    pub(crate) fn ask_aside(&mut self, line: &str, answer: &str) -> Result<()> {
        self.ask(line)?;
        self.expect(answer)?;
        self.seen.truncate(self.seen.len() - 2);
        Ok(())
    }

    /// The last requests were made in one of the runs only, and their answers looked at.
    pub(crate) fn forget(&mut self, requests: usize) {
        self.seen.truncate(self.seen.len() - requests);
    }

    /// Something else that the client saw.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.seen.push(text.into());
    }

    /// Kills the primary here.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if self.strike == Strike::AsScripted { self.strike_now() } else { Ok(()) }
    }

    fn strike_now(&mut self) -> Result<()> {
        match &mut self.runner {
            Runner::Native(_) => Ok(()),
            Runner::Replicated(trio) => trio.kill(self.victim),
        }
    }

    /// Waits until the backup serves, so that what follows happens after the failover.
    pub(crate) fn wait_solo(&mut self) -> Result<()> {
        match &mut self.runner {
            Runner::Native(_) => Ok(()),
            Runner::Replicated(trio) => trio.wait_solo().map(drop),
        }
    }

    pub(crate) fn is_replicated(&self) -> bool {
        matches!(self.runner, Runner::Replicated(_))
    }

    /// The three that replicate it, if they do.
    pub(crate) fn trio(&mut self) -> Option<&mut Trio> {
        match &mut self.runner {
            Runner::Native(_) => None,
            Runner::Replicated(trio) => Some(trio),
        }
    }

    /// A connection to the server's `index`th listener.
    pub(crate) fn connect(&self, index: usize, name: &str) -> Result<Wire> {
        Wire::connect(self.addresses[index], name)
    }

    /// Where the `index`th listener is for clients.
    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        self.addresses[index]
    }

    /// The directory that the server was started in.
    pub(crate) fn work(&self) -> &Path {
        &self.work
    }

    fn wire(&mut self) -> Result<&mut Wire> {
        self.wire.as_mut().context("the orders have ended")
    }

    /// Ends the orders, and with them the server; waits for its end.
    fn finish(&mut self) -> Result<Outcome> {
        if let Some(wire) = self.wire.take() {
            wire.end()?;
        }
        let (exit, stdout) = match &mut self.runner {
            Runner::Native(program) => (program.wait()?, program.stdout()?),
            Runner::Replicated(trio) => {
                let exit = trio.wait()?;
                (exit, [trio.primary.stdout()?, trio.backup.stdout()?].concat())
            }
        };
        Ok(Outcome { seen: std::mem::take(&mut self.seen), asked: self.asked, exit, stdout })
    }
}

fn start_natively(command: &[String], addresses: &[SocketAddr], directory: &Path, work: &Path) -> Result<Program> {
    let (program, arguments) = command.split_first().context("an empty command")?;
    let mut program = Program::start("server", Command::new(program).args(arguments).current_dir(work), directory)?;
    for &address in addresses {
        let listens = poll("the server to listen", OFTEN, || {
            let exit = program.exit()?;
            ensure!(exit.is_none(), "it has ended: {exit:?}");
            Ok(listening(address)?.then_some(()))
        });
        listens.map_err(|error| program.explain(error))?;
    }
    Ok(program)
}

/// Panics where two runs differ.
fn compare(native: &Outcome, replicated: &Outcome) -> Result<()> {
    for (at, (expected, found)) in native.seen.iter().zip(&replicated.seen).enumerate() {
        if expected != found {
            let before = native.seen[..at].join("\n  ");
            bail!("after:\n  {before}\nexpected: {expected}\n   found: {found}");
        }
    }
    ensure!(native.seen.len() == replicated.seen.len(), "{:?} and {:?}", native.seen, replicated.seen);
    ensure!(native.exit == replicated.exit, "natively it ends with {:?}, here with {:?}", native.exit, replicated.exit);
    ensure!(
        native.stdout == replicated.stdout,
        "natively it printed \"{}\", here \"{}\"",
        native.stdout.escape_ascii(),
        replicated.stdout.escape_ascii()
    );
    Ok(())
}

/// Drives a server natively and through a failover; both must look the same.
#[track_caller]
pub(crate) fn same_as_native(name: &str, listeners: usize, drive: impl Fn(&mut Service) -> Result<()>) {
    same_when(name, listeners, Victim::Server, drive);
}

/// The same, and `victim` is who dies.
#[track_caller]
pub(crate) fn same_when(name: &str, listeners: usize, victim: Victim, drive: impl Fn(&mut Service) -> Result<()>) {
    let native = Service::run(name, listeners, false, (Strike::AsScripted, victim), &drive).context("natively");
    let outcome = native.and_then(|native| {
        let replicated = Service::run(name, listeners, true, (Strike::AsScripted, victim), &drive);
        compare(&native, &replicated.context("through a failover")?)
    });
    super::verdict(outcome);
}

/// Drives a server natively once, and `rounds` times through a failover at a request chosen at random. `within` says whether it may
/// also strike while a request is under way.
#[track_caller]
pub(crate) fn same_at_random(name: &str, rounds: u64, within: bool, drive: impl Fn(&mut Service) -> Result<()>) {
    let run = || -> Result<()> {
        let native = Service::run(name, 1, false, (Strike::AsScripted, Victim::Server), &drive).context("natively")?;
        let first = crate::support::rng::seed()?;
        for seed in first..first + rounds {
            let mut rng = crate::support::rng::Rng::part(seed, 0);
            let at = rng.below(native.asked as u64) as usize;
            let strike = if within && rng.below(2) == 0 { Strike::Within(at) } else { Strike::Before(at) };
            let victim = if rng.below(2) == 0 { Victim::Server } else { Victim::Primary };
            let replicated = Service::run(name, 1, true, (strike, victim), &drive);
            let compared = replicated.and_then(|replicated| compare(&native, &replicated));
            compared.with_context(|| format!("{victim:?} killed {strike:?}; to repeat: FTRUN_SEED={seed}"))?;
        }
        Ok(())
    };
    super::verdict(run());
}

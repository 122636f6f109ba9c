//! A soak: server after server under load for a long time, each killed in the middle. No reply may be wrong, nothing may
//! diverge, and no process of `ftrun` may grow without bound.
//!
//! It lasts `FTRUN_SOAK_SECONDS`, about 15 s by default; longer ones need the time limits that `tests/run` chooses for them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::asyncio_kv::AsyncioKv;
use super::beanstalkd::Beanstalkd;
use super::mosquitto::Mosquitto;
use super::nginx::Nginx;
use super::{External, Load, Server};
use crate::support::free_address;
use crate::support::group::{Group, Victim};
use crate::support::rng;
use crate::support::status::Status;

const SECONDS: u64 = 15;
/// The servers come round at least that often, in seconds.
const ROUND: u64 = 240;

/// What a process of `ftrun` may take at its peak, in MiB: the log that a backup has not yet executed (at most 64 MiB, and as much
/// again while it is handed over), what the proxy keeps for a handful of connections, and the program itself.
const MOST_MIB: u64 = 192;

/// One server and its share of the time.
type Turn = fn(Duration, u64, Victim) -> Result<()>;

const TURNS: [(&str, Turn); 4] = [
    ("nginx", turn::<Nginx>),
    ("beanstalkd", turn::<Beanstalkd>),
    ("mosquitto", turn::<Mosquitto>),
    ("asyncio_kv", turn::<AsyncioKv>),
];

#[test]
fn survives_mixed_load() {
    crate::support::verdict(soak());
}

fn soak() -> Result<()> {
    let seconds = match std::env::var("FTRUN_SOAK_SECONDS") {
        Ok(text) => text.parse().context("FTRUN_SOAK_SECONDS is not a number")?,
        Err(_) => SECONDS,
    };
    ensure!(seconds > 0, "FTRUN_SOAK_SECONDS is 0: nothing would be tested");
    let rounds = seconds.div_ceil(ROUND);
    let share = Duration::from_secs(seconds) / u32::try_from(rounds * TURNS.len() as u64)?;
    let victims = [Victim::Primary, Victim::Backup, Victim::Server, Victim::BackupServer];
    let first = rng::seed()?;
    for (round, seed) in (0..usize::try_from(rounds)?).zip(first..) {
        for (index, (name, turn)) in TURNS.iter().enumerate() {
            // Each server meets each victim.
            let victim = victims[(round + index) % victims.len()];
            turn(share, seed, victim)
                .with_context(|| format!("round {round}, {name}, {victim:?} killed; the seed is FTRUN_SEED={seed}"))?;
        }
    }
    Ok(())
}

/// A group lives for `share`: two thirds of it paired, the rest after the victim's death.
fn turn<S: Server>(share: Duration, seed: u64, victim: Victim) -> Result<()> {
    let start = Instant::now();
    let dir = TempDir::new()?;
    let address = free_address()?;
    let server = S::prepare(address, dir.path())?;
    let mut group = Group::start(&server.command(), address, dir.path())?;
    let run = |group: &mut Group| {
        let before = group.wait_paired()?;
        let mut load = Load::open(&server, address, dir.path(), seed)?;
        let mut rounds = 0;
        while rounds == 0 || start.elapsed() < share * 2 / 3 {
            load.drive(S::STEPS, 0, |_| Ok(()))?;
            rounds += 1;
        }
        let status = group.status()?.context("nothing runs")?;
        ensure!(
            status.replicas.len() == 2 && status.epoch == before.epoch,
            "a replica was lost before the kill: {status:?}"
        );
        let paired = peaks(&status)?;
        load.drive(S::STEPS, S::STEPS, |external| {
            external.push()?;
            group.kill(victim, &before)
        })
        .context("across the kill")?;
        let solo = group.wait_solo(victim, &before)?;
        while start.elapsed() < share {
            load.drive(S::STEPS, 0, |_| Ok(()))?;
            rounds += 1;
        }
        let alone = peaks(&solo)?;
        let longest = load.conclude()?;
        group.stop()?;
        println!(
            "{victim:?} killed after {rounds} rounds, longest wait of a client {longest:?}; peaks in MiB: {paired:?}, then {alone:?}"
        );
        Ok(())
    };
    run(&mut group).map_err(|error| group.explain(error))
}

/// What each process of `ftrun` has taken at its peak, in MiB, by its part. Fails on one beyond the bound.
fn peaks(status: &Status) -> Result<Vec<(String, u64)>> {
    let proxy = status.proxy.as_ref().map(|proxy| ("proxy".to_owned(), proxy.pid));
    let replicas = status.replicas.iter().map(|it| (format!("{:?}", it.role), it.ftrun_pid));
    let peaks = proxy.into_iter().chain(replicas).map(|(part, pid)| {
        let mib = peak(pid)?;
        ensure!(mib <= MOST_MIB, "{part}, process {pid}, took {mib} MiB at its peak, expected at most {MOST_MIB}");
        Ok((part, mib))
    });
    peaks.collect()
}

/// VmHWM of proc_pid_status(5), in MiB, rounded up.
fn peak(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("no VmHWM in {path}"))?.div_ceil(1024))
}

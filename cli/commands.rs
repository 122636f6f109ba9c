//! The jobs of ftrun.

mod backup;
mod demo;
mod dump;
mod embedded;
mod example_kv;
mod front;
mod live;
mod primary;
mod proxy_link;
mod record;
mod replay;
mod status;
mod verify;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicI32, Ordering};

use std::time::Duration;

use anyhow::Result;
use common::arbiter::{Arbiter, ArbiterSpec, FileArbiter};
use common::pair::state::Reason;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use tracer::interceptor::Manner;
use tracer::place::watch::Looks;
use tracer::say;

use crate::args::{Arguments, Command, Faults, LayerOption};
use crate::ending;
use crate::exit::Exit;

/// Does what was asked.
pub fn run(arguments: Arguments) -> Result<Exit> {
    let without = &arguments.run.faults.without;
    if !without.is_empty() {
        say!("TEST ONLY: nothing is protected, rules are switched off: {}", without.join(", "));
    }
    match arguments.command {
        Some(Command::Record(args)) => record::run(args),
        Some(Command::Replay(args)) => replay::run(args),
        Some(Command::Verify(args)) => verify::run(args),
        Some(Command::Dump(args)) => dump::run(args),
        Some(Command::Status(args)) => status::run(args),
        Some(Command::Demo(args)) => demo::run(args),
        Some(Command::ExampleKv(args)) => example_kv::run(args),
        None if arguments.run.backup => backup::run(arguments.run),
        None if arguments.run.proxy => front::run(arguments.run),
        None => primary::run(arguments.run),
    }
}

/// The processor asked for, else the `nth` of those that this process may use, counted round.
fn processor(asked: Option<usize>, nth: usize) -> Option<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let usable: Vec<usize> = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).collect();
    asked.or_else(|| usable.get(nth % usable.len().max(1)).copied())
}

/// Keeps this thread on one processor for as long as it lives: a tracer on another one than its tracee is ten times slower.
/// Threads that are started meanwhile would inherit it, and compete with the server.
struct Pinned(Option<CpuSet>);

impl Pinned {
    fn on(cpu: Option<usize>) -> Self {
        let this_thread = Pid::from_raw(0);
        let Some(cpu) = cpu else { return Self(None) };
        let before = sched_getaffinity(this_thread).ok();
        let mut one = CpuSet::new();
        if one.set(cpu).and_then(|()| sched_setaffinity(this_thread, &one)).is_err() {
            say!("cannot stay on processor {cpu}; tracing will be slow");
        }
        Self(before)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            // It was allowed before.
            let _ = sched_setaffinity(Pid::from_raw(0), &before);
        }
    }
}

/// Milliseconds as they are given: 0 is never.
fn unless_never(milliseconds: u64) -> Option<Duration> {
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

/// Who takes the server's calls; what is left to chance repeats with the same FTRUN_SEED.
fn manner(options: &LayerOption) -> Manner {
    let seed = std::env::var("FTRUN_SEED").ok().and_then(|seed| seed.parse().ok());
    Manner {
        layer: options.layer,
        seed: seed.unwrap_or_else(|| std::process::id().into()),
        signal_deadline: unless_never(options.signal_deadline),
        progress_interval: unless_never(options.progress_interval),
        ticks: options.ticks,
        memory_check: options.memory_check,
    }
}

/// Says what it took a replica to come to positions, if there were any.
fn tell_of(looks: Looks) {
    let Looks { positions, counted, undone, by_breakpoint, stops, near } = looks;
    if positions > 0 {
        say!(
            "{positions} positions between two calls: the way to {counted} counted, {undone} of them gone too far and back; {stops} stops, {near} of them for memory alone; {by_breakpoint} by a breakpoint"
        );
    }
}

/// A number that nobody else chooses: names of logs, replicas and claims.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // RandomState is seeded by the system for every process, and again for every use.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u64(monotonic_ns());
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn monotonic_ns() -> u64 {
    tracer::clock::now_ns(libc::CLOCK_MONOTONIC)
}

/// No server runs yet: a signal is for ftrun.
const NOT_YET: i32 = 0;
/// The server has ended: what it said last is on its way to the clients.
const ENDED: i32 = -1;
/// The process that gets the signals sent to ftrun, or one of the two above.
static SERVER: AtomicI32 = AtomicI32::new(NOT_YET);

/// From now on signals sent to ftrun go to the server `pid`.
fn forward_signals(pid: i32) {
    SERVER.store(pid, Ordering::SeqCst);
}

/// The server has ended. One more signal is waited for: the one that ended it may have been sent to ftrun as well.
fn forget_signals() {
    SERVER.store(ENDED, Ordering::SeqCst);
}

/// Takes the signals that ftrun passes on. To be called while there is one thread: all others inherit the mask.
///
/// Those of the terminal go to the server by themselves, since it is in the same process group. `embedded`: this process was
/// started by another ftrun and ends with the service; signals that a service manager sends to all alike are for the server.
fn catch_signals(embedded: bool) -> Result<()> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2] {
        set.add(signal);
    }
    set.thread_block()?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        while let Ok(Some(info)) = signals.read_signal() {
            let from_process = info.ssi_code <= 0;
            let Ok(signal) = Signal::try_from(info.ssi_signo.cast_signed()) else { continue };
            match SERVER.load(Ordering::SeqCst) {
                NOT_YET if embedded => say!("{signal} is ignored: this process ends with its service"),
                NOT_YET => ending::now(Exit::Server(signal as i32), format_args!("ended by {signal}")),
                ENDED if from_process => {
                    say!("{signal}: the server has ended and its last output is being delivered; a second one ends ftrun now");
                    SERVER.store(NOT_YET, Ordering::SeqCst);
                }
                ENDED => {}
                // A server that has just ended needs no signal any more.
                server if from_process => drop(kill(Pid::from_raw(server), signal)),
                _ => {}
            }
        }
    })?;
    Ok(())
}

/// The exit status of a replica that its pair ends.
fn exit_of(reason: Reason) -> Exit {
    match reason {
        Reason::Lost { .. } => Exit::Superseded,
        Reason::ServerEnded | Reason::SyncFailed | Reason::Diverged => Exit::Failed,
    }
}

/// A socket for heartbeats to `peer`.
fn udp_towards(peer: SocketAddr) -> Result<UdpSocket> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Ok(UdpSocket::bind((any, 0))?)
}

/// The arbiter of a specification; tests may take its test-and-set away.
fn open_arbiter(spec: &ArbiterSpec, faults: &Faults) -> Result<Box<dyn Arbiter + Send>> {
    if faults.without.iter().any(|rule| rule == "test-and-set")
        && let Some(dir) = spec.to_string().strip_prefix("file:")
    {
        return Ok(Box::new(FileArbiter::without_test_and_set(dir)?));
    }
    Ok(spec.open()?)
}

/// The environment that the server gets: ftrun's own settings are not for it.
fn server_environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("FTRUN_TEST_")).collect()
}

/// CLOCK_MONOTONIC as the server goes on to see it: where the primary's stood, never before what the server has seen. Clocks
/// that differ by less than half a second are taken for one: both replicas are on one machine.
fn clock_to_go_on(primary: Option<u64>, seen: u64) -> u64 {
    const SAME: u64 = 500_000_000;
    let own = monotonic_ns();
    let estimate = primary.filter(|primary| primary.abs_diff(own) > SAME).unwrap_or(own);
    estimate.max(seen)
}

/// A set that another thread fills, for the status.
fn listed(set: &std::sync::Mutex<std::collections::BTreeSet<String>>) -> Vec<String> {
    set.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter().cloned().collect()
}

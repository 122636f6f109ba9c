//! Real servers under `ftrun`: driven by several clients at once while a replica dies.
//!
//! One iteration is: start a group, open the sessions, run them until a random one of their
//! operations, kill the victim, let the sessions go on over the same connections, and compare
//! everything with a model. An iteration is decided by its seed alone (up to the scheduling of the
//! processes): `FTRUN_SEED=n FTRUN_KILLS=1` repeats it. `FTRUN_KILLS` is the number of iterations.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::TempDir;

use crate::support::group::{Group, Victim, ftrun};
use crate::support::program::{Exit, Program};
use crate::support::relay::{Fault, Relay};
use crate::support::rng::{self, Rng};
use crate::support::{OFTEN, free_address, listening, poll};

/// The tests that every server has to pass.
macro_rules! server_tests {
    ($server:ty) => {
        #[test]
        fn client_model_holds_natively() {
            crate::support::verdict(crate::servers::natively::<$server>());
        }

        #[test]
        fn client_model_notices_faults() {
            crate::support::verdict(crate::servers::notices_faults::<$server>());
        }

        #[test]
        fn survives_kills() {
            crate::support::verdict(crate::servers::survives_kills::<$server>());
        }

        #[test]
        fn survives_loss_of_backup() {
            crate::support::verdict(crate::servers::survives_loss_of_backup::<$server>());
        }

        #[test]
        fn record_then_replay() {
            crate::support::verdict(crate::servers::record_then_replay::<$server>());
        }
    };
}

mod asyncio_kv;
mod beanstalkd;
mod files;
mod kv;
mod lighttpd;
mod lua_kv;
mod mosquitto;
mod nginx;
mod ngircd;
mod soak;

/// How many sessions drive a server at once.
const SESSIONS: usize = 4;

/// A server under test, with its configuration written.
trait Server: Sized {
    /// How it ends when it gets SIGTERM.
    const ON_SIGTERM: Exit;
    /// Steps of each session while the victim dies, and half as many after that.
    const STEPS: u64 = 60;
    type Session: Session;
    type External: External;

    /// Writes what the server needs into `dir`; it is to listen on `address`.
    fn prepare(address: SocketAddr, dir: &Path) -> Result<Self>;

    /// Its command line.
    fn command(&self) -> Vec<OsString>;

    /// Opens session number `index`.
    fn open(&self, address: SocketAddr, index: usize) -> Result<Self::Session>;

    /// Starts a client program that is not ours; it is connected and served when this returns.
    fn external(&self, address: SocketAddr, dir: &Path) -> Result<Self::External>;

    /// Compares what the server holds with the models, by new connections, and closes the sessions.
    fn conclude(&self, address: SocketAddr, sessions: Vec<Self::Session>) -> Result<()>;
}

/// One connection with the model of what the server must answer.
trait Session: Send {
    /// Some requests, and their replies compared.
    fn step(&mut self, rng: &mut Rng) -> Result<()>;

    /// The longest time that it has waited for a byte.
    fn longest_wait(&self) -> Duration;
}

/// A client program that is not ours, connected for the whole time.
trait External {
    /// Has requests under way, without waiting for replies.
    fn push(&mut self) -> Result<()>;

    /// Fails when there is nothing left that the kill could interrupt.
    fn is_under_way(&mut self) -> Result<()> {
        Ok(())
    }

    /// Goes on, compares everything, ends.
    fn finish(self) -> Result<()>;
}

/// A session and the generator that decides what it does.
struct Lane<S> {
    session: S,
    rng: Rng,
}

/// All sessions of an iteration.
struct Load<'server, S: Server> {
    server: &'server S,
    address: SocketAddr,
    lanes: Vec<Lane<S::Session>>,
    external: S::External,
}

impl<'server, S: Server> Load<'server, S> {
    fn open(server: &'server S, address: SocketAddr, dir: &Path, seed: u64) -> Result<Self> {
        Self::open_via(server, address, address, dir, seed)
    }

    /// The same, with the sessions' connections to `via` instead.
    fn open_via(server: &'server S, address: SocketAddr, via: SocketAddr, dir: &Path, seed: u64) -> Result<Self> {
        // First, so that what it does before the sessions start is the same each time.
        let external = server.external(address, dir)?;
        let lane = |index| {
            let session = server.open(via, index)?;
            let rng = Rng::part(seed, index as u64);
            Ok(Lane { session, rng })
        };
        let lanes = (0..SESSIONS).map(lane).collect::<Result<_>>()?;
        Ok(Self { server, address, lanes, external })
    }

    /// Runs every session for `steps` steps; when step number `at` of all begins, `strike` happens
    /// on this thread while the sessions go on.
    fn drive(&mut self, steps: u64, at: u64, strike: impl FnOnce(&mut S::External) -> Result<()>) -> Result<()> {
        let begun = AtomicU64::new(0);
        let (sender, now) = mpsc::channel();
        let external = &mut self.external;
        let lanes = &mut self.lanes;
        let outcomes: Vec<Result<()>> = thread::scope(|scope| {
            let run = |lane| {
                let (begun, sender) = (&begun, sender.clone());
                scope.spawn(move || run(lane, steps, begun, at, &sender))
            };
            let running: Vec<_> = lanes.iter_mut().map(run).collect();
            drop(sender);
            // An error: all sessions have ended before step `at`, and their outcomes say why.
            let struck =
                now.recv().map_err(|_| anyhow!("the sessions ended before the strike")).and_then(|()| strike(external));
            let joined = running.into_iter().map(|session| {
                let outcome = session.join();
                outcome.unwrap_or_else(|_| Err(anyhow!("a session panicked")))
            });
            joined.chain([struck]).collect()
        });
        let failed: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        let text: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
        ensure!(text.is_empty(), "{}", text.join("\n"));
        Ok(())
    }

    /// The second half, then the final comparison; returns the longest wait of any session.
    fn conclude(mut self) -> Result<Duration> {
        let steps = S::STEPS / 2;
        self.drive(steps, steps, |_| Ok(())).context("after the kill")?;
        self.external.finish().context("the external client")?;
        let sessions: Vec<_> = self.lanes.into_iter().map(|lane| lane.session).collect();
        let waits = sessions.iter().map(Session::longest_wait);
        let longest = waits.max().unwrap_or_default();
        self.server.conclude(self.address, sessions).context("the final comparison")?;
        Ok(longest)
    }
}

fn run<S: Session>(lane: &mut Lane<S>, steps: u64, begun: &AtomicU64, at: u64, strike: &Sender<()>) -> Result<()> {
    for _ in 0..steps {
        if begun.fetch_add(1, Ordering::Relaxed) == at {
            strike.send(()).context("nobody waits for the strike")?;
        }
        lane.session.step(&mut lane.rng)?;
    }
    Ok(())
}

/// When the victim dies: somewhere in the first two thirds of the steps.
fn strike_at<S: Server>(seed: u64) -> u64 {
    let steps = S::STEPS * SESSIONS as u64;
    steps / 20 + Rng::part(seed, u64::MAX).below(steps * 3 / 5)
}

/// Under `ftrun`: one iteration; returns the longest wait of a client.
fn iteration<S: Server>(seed: u64, victim: Victim) -> Result<Duration> {
    let dir = TempDir::new()?;
    let address = free_address()?;
    let server = S::prepare(address, dir.path())?;
    let mut group = Group::start(&server.command(), address, dir.path())?;
    kill_under_load(&server, &mut group, dir.path(), seed, victim).map_err(|error| group.explain(error))
}

fn kill_under_load<S: Server>(
    server: &S,
    group: &mut Group,
    dir: &Path,
    seed: u64,
    victim: Victim,
) -> Result<Duration> {
    let before = group.wait_paired()?;
    let mut load = Load::open(server, group.address(), dir, seed)?;
    load.drive(S::STEPS, strike_at::<S>(seed), |external| {
        external.push()?;
        external.is_under_way()?;
        group.kill(victim, &before)
    })
    .context("across the kill")?;
    let solo = group.wait_solo(victim, &before)?;
    let connections = solo.proxy.context("no proxy")?.connections;
    ensure!(connections >= SESSIONS as u64, "the proxy has {connections} connections, {SESSIONS} sessions are open");
    let longest = load.conclude()?;
    let exit = group.stop()?;
    // When the primary was the victim, the `ftrun` that was started is the one that died.
    if matches!(victim, Victim::Backup | Victim::BackupServer) {
        ensure!(exit == S::ON_SIGTERM, "the server ends with {:?}, ftrun with {exit:?}", S::ON_SIGTERM);
    }
    Ok(longest)
}

/// Runs iterations with consecutive seeds; the seed decides the victim too.
fn iterations<S: Server>(count: u64, victims: [Victim; 2]) -> Result<()> {
    let first = rng::seed()?;
    let mut longest = Duration::ZERO;
    for seed in first..first + count {
        let victim = victims[usize::from(seed % 2 == 1)];
        let wait = iteration::<S>(seed, victim)
            .with_context(|| format!("{victim:?} killed; to repeat: FTRUN_SEED={seed} FTRUN_KILLS=1"))?;
        println!("seed {seed}: {victim:?} killed, longest wait of a client {wait:?}");
        longest = longest.max(wait);
    }
    println!("{count} kills from seed {first} on, longest wait of a client {longest:?}");
    Ok(())
}

fn survives_kills<S: Server>() -> Result<()> {
    let kills = match std::env::var("FTRUN_KILLS") {
        Ok(text) => text.parse().context("FTRUN_KILLS is not a number")?,
        Err(_) => 20,
    };
    ensure!(kills > 0, "FTRUN_KILLS is 0: nothing would be tested");
    iterations::<S>(kills, [Victim::Server, Victim::Primary])
}

fn survives_loss_of_backup<S: Server>() -> Result<()> {
    iterations::<S>(2, [Victim::Backup, Victim::BackupServer])
}

/// Starts `command`, which is to listen on `address` without a proxy.
fn start_alone(name: &str, command: &mut Command, address: SocketAddr, dir: &Path) -> Result<Program> {
    let mut program = Program::start(name, command, dir)?;
    poll("the server to listen", OFTEN, || {
        let exit = program.exit()?;
        ensure!(exit.is_none(), "it has ended: {exit:?}");
        Ok(listening(address)?.then_some(()))
    })
    .map_err(|error| program.explain(error))?;
    Ok(program)
}

fn start_natively<S: Server>(server: &S, address: SocketAddr, dir: &Path) -> Result<Program> {
    let words = server.command();
    let (name, arguments) = words.split_first().context("an empty command")?;
    start_alone("server", Command::new(name).args(arguments), address, dir)
}

/// The whole load, with nobody dying.
fn drive_alone<S: Server>(server: &S, address: SocketAddr, dir: &Path) -> Result<()> {
    let seed = rng::seed()?;
    println!("seed {seed}");
    let mut load = Load::open(server, address, dir, seed)?;
    load.drive(S::STEPS, strike_at::<S>(seed), External::push)?;
    load.conclude().with_context(|| format!("FTRUN_SEED={seed}"))?;
    Ok(())
}

/// Without `ftrun`: the client, its model and the facts that the server is chosen for.
fn natively<S: Server>() -> Result<()> {
    let dir = TempDir::new()?;
    let address = free_address()?;
    let server = S::prepare(address, dir.path())?;
    let mut program = start_natively(&server, address, dir.path())?;
    drive_alone(&server, address, dir.path()).map_err(|error| program.explain(error))?;
    let alone = program.process().threads_and_children()?;
    ensure!(alone == (1, 0), "(threads, children) are {alone:?}");
    let exit = program.terminate()?;
    ensure!(exit == S::ON_SIGTERM, "SIGTERM ends it with {exit:?}");
    Ok(())
}

/// Without `ftrun`: each fault that a failover could cause makes the sessions fail.
fn notices_faults<S: Server>() -> Result<()> {
    for fault in [Fault::RepeatOutput, Fault::LoseOutput, Fault::RepeatInput] {
        let dir = TempDir::new()?;
        let address = free_address()?;
        let server = S::prepare(address, dir.path())?;
        let _program = start_natively(&server, address, dir.path())?;
        let relay = Relay::start(address, fault)?;
        let seed = rng::seed()?;
        let mut load = Load::open_via(&server, address, relay.address(), dir.path(), seed)?;
        relay.arm();
        let outcome = load.drive(S::STEPS, 0, |_| Ok(())).and_then(|()| load.conclude());
        ensure!(relay.struck(), "{fault:?} did not happen: {outcome:?}");
        let Err(error) = outcome else {
            bail!("{fault:?} was not noticed, FTRUN_SEED={seed}");
        };
        println!("{fault:?} was noticed: {error:#}");
    }
    Ok(())
}

/// What a recording holds is enough to run the server again, bit by bit.
fn record_then_replay<S: Server>() -> Result<()> {
    let dir = TempDir::new()?;
    let address = free_address()?;
    let server = S::prepare(address, dir.path())?;
    let recording = dir.path().join("recording");

    let mut command = ftrun();
    command.arg("record").arg("-o").arg(&recording).arg("--");
    command.args(server.command());
    let mut recorder = start_alone("record", &mut command, address, dir.path())?;
    drive_alone(&server, address, dir.path()).map_err(|error| recorder.explain(error))?;
    let exit = recorder.terminate()?;
    if exit != S::ON_SIGTERM {
        let wrong = anyhow!("ftrun record ended with {exit:?}, not {:?}", S::ON_SIGTERM);
        return Err(recorder.explain(wrong));
    }

    let mut command = ftrun();
    let mut replayer = Program::start("replay", command.arg("replay").arg(&recording), dir.path())?;
    let exit = replayer.wait()?;
    let compared = (|| {
        ensure!(exit == Exit::Code(0), "ftrun replay ended with {exit:?}");
        let (replayed, said) = split_messages(&replayer.stderr()?);
        let (recorded, _) = split_messages(&recorder.stderr()?);
        let last = said.last().context("ftrun replay said nothing")?;
        let records = last
            .strip_prefix("replayed ")
            .and_then(|rest| rest.strip_suffix(" records, identical"))
            .and_then(|count| count.parse::<u64>().ok());
        ensure!(records.is_some_and(|it| it > 0), "it ended with: {last}");
        ensure!(recorder.stdout()? == replayer.stdout()?, "the standard outputs differ");
        ensure!(recorded == replayed, "the standard errors differ:\n{recorded}\n---\n{replayed}");
        Ok(())
    })();
    compared.map_err(|error| replayer.explain(error))
}

/// Divides standard error into what the server wrote and the messages of `ftrun`.
fn split_messages(stderr: &[u8]) -> (String, Vec<String>) {
    let text = String::from_utf8_lossy(stderr);
    let own = |line: &&str| line.starts_with("ftrun:") || line.starts_with("replayed ");
    let (messages, rest): (Vec<_>, Vec<_>) = text.lines().partition(own);
    let bare = |line: &str| line.trim_start_matches("ftrun:").trim_start().to_owned();
    (rest.join("\n"), messages.into_iter().map(bare).collect())
}

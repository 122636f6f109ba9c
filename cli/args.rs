//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use common::arbiter::ArbiterSpec;
use common::log::economy::Compress;
use common::pair::address::PeerAddress;
use tracer::interceptor::Layer;
use tracer::memory_check::MemoryCheck;
use tracer::ticks::Ticks;

const EXAMPLES: &str = "\
Examples:
  ftrun -- ./server --port 6667                   everything on this machine
  ftrun --proxy --control 10.0.0.1:7001           three machines: the proxy,
  ftrun --backup --listen 10.0.0.3:7000           the backup,
  ftrun --peer 10.0.0.3:7000 --control 10.0.0.1:7001 --arbiter file:/shared/epochs -- ./server
                                                  and the primary
  ftrun record -o DIR -- ./server                 a log without backup and proxy
  ftrun replay DIR                                the same run again, every call compared
  ftrun verify -- ./server                        both, and memory compared as well";

const EXIT_STATUSES: &str = "\
Exit status: the server's own (its fatal signal is raised again), or
  2    what was typed makes no sense
  121  a log or snapshot is damaged, incomplete or of another version
  122  the server, or the other machine, needs what ftrun cannot give
  123  a replay did something else than its log says
  124  another replica acts for the service now
  125  ftrun could not do its part
  126  the program is there but cannot be executed
  127  there is no such program
Every message is explained in docs/errors.md.";

/// Keeps an unmodified single-threaded server alive through the death of its machine.
///
/// `ftrun -- ./server` starts a backup and a proxy on this machine; see the README for several machines.
#[derive(Debug, Parser)]
#[command(
    name = "ftrun",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = EXIT_STATUSES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUSES}")
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub run: Run,
}

/// Options of the main job, in its three parts.
#[derive(Debug, Args)]
pub struct Run {
    /// Where the processes of this service meet and keep their state, one directory for each service (default:
    /// $XDG_RUNTIME_DIR/ftrun, or /tmp/ftrun-UID).
    #[arg(long, env = "FTRUN_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Be a backup: wait for a primary on --listen.
    #[arg(long, conflicts_with_all = ["proxy", "peer", "server"])]
    pub backup: bool,

    /// Be the proxy: replicas reach it on --control.
    #[arg(long, conflicts_with_all = ["peer", "server"])]
    pub proxy: bool,

    /// Backup: where the primary connects, `IP:PORT`, or `unix:PATH` or `unix:@NAME` on the same machine. Proxy: where clients connect, instead
    /// of the address that the server asks for.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<PeerAddress>,

    /// Primary: the backup's --listen address; without it a backup is started on this machine.
    #[arg(long, value_name = "ADDR")]
    pub peer: Option<PeerAddress>,

    /// The proxy's control address: where it listens, or, for a primary, where to reach it.
    #[arg(long, value_name = "ADDR")]
    pub control: Option<SocketAddr>,

    /// This replica's address as the proxy can reach it (default: the one it reaches the proxy from).
    #[arg(long, value_name = "IP")]
    pub advertise: Option<std::net::IpAddr>,

    /// The arbiter, `file:DIR` on storage that both replicas share (default: in the state directory).
    #[arg(long, value_name = "SPEC")]
    pub arbiter: Option<String>,

    /// Milliseconds between heartbeats; the primary's count for both replicas.
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub heartbeat: u64,

    /// Milliseconds without a heartbeat after which a replica is taken for dead: at least two heartbeats.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub timeout: u64,

    /// The processor that the server and its tracer share.
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,

    /// Benchmark aid: the proxy has no replicas. Clients that connect to LISTEN are passed on to TARGET, nothing is held.
    #[arg(long, hide = true, value_name = "LISTEN=TARGET", value_parser = pass, conflicts_with = "control")]
    pub pass: Option<Pass>,

    #[command(flatten)]
    pub inherited: Inherited,

    #[command(flatten)]
    pub layer: LayerOption,

    #[command(flatten)]
    pub compress: CompressOption,

    #[command(flatten)]
    pub faults: Faults,

    /// The server and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

/// A listener and the server behind it, which no replica runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where they are passed on to.
    pub target: SocketAddr,
}

fn pass(text: &str) -> Result<Pass, String> {
    let wrong = || format!("expected LISTEN=TARGET, two addresses such as 127.0.0.1:80=127.0.0.1:8080; found {text}");
    let (listen, target) = text.split_once('=').ok_or_else(wrong)?;
    let (listen, target) = (listen.parse().map_err(|_| wrong())?, target.parse().map_err(|_| wrong())?);
    Ok(Pass { listen, target })
}

/// Descriptors that a parent hands to the processes it starts.
#[derive(Debug, Args)]
pub struct Inherited {
    /// A listening socket inherited from the parent, instead of --listen.
    #[arg(long, hide = true)]
    pub listen_fd: Option<i32>,

    /// A listening socket inherited from the parent, instead of --control.
    #[arg(long, hide = true)]
    pub control_fd: Option<i32>,

    /// A pipe that the parent holds open for as long as it lives.
    #[arg(long, hide = true)]
    pub parent_fd: Option<i32>,
}

/// How calls are taken, in recording and in replay.
#[derive(Debug, Args, Clone)]
pub struct LayerOption {
    /// Who takes system calls: the tracer all of them (`complete`), code in the server's process those that it can (`fast`), or
    /// now one, now the other, by chance (`mixed`: for tests). The log is the same.
    #[arg(long, value_name = "LAYER", env = "FTRUN_LAYER", default_value = "fast")]
    pub layer: Layer,

    /// Milliseconds that a signal which comes between two system calls waits for the second one. Then it is delivered where the server
    /// stands, which costs a replica up to several times what the server computes from call to call. 0: it waits for the call.
    #[arg(long, value_name = "MS", env = "FTRUN_SIGNAL_DEADLINE", default_value_t = 20)]
    pub signal_deadline: u64,

    /// Milliseconds that a server computes between two calls before the log says how far it has come, so that a replica follows it. A large
    /// server computes longer: taking its position costs it at most a tenth of its time. 0: never.
    #[arg(long, value_name = "MS", env = "FTRUN_PROGRESS_INTERVAL", default_value_t = 200)]
    pub progress_interval: u64,

    /// What counts how far the server has come from call to call, so that a replica runs there at once: the processor's counter of
    /// conditional branches, if a trial shows that it counts right (`auto`), or nothing (`none`). `step:SKID[:PROMISED]` and
    /// `breakpoint:ADDRESS:SKID[:PROMISED]` are for tests.
    #[arg(long, value_name = "TICKS", env = "FTRUN_TICKS", default_value_t = Ticks::Auto)]
    pub ticks: Ticks,

    /// When a replica compares its memory with the server's. `auto`: now and then. Where a system call begins the server is made to
    /// fork, for which it stands; a digest of what the copy can write goes into the log (`auto:RECORDS` is for tests). A number: after so
    /// many records, all that the server can write where its next call begins, and all that it can read where its last one does; it
    /// stands meanwhile, 0.3 ms for each megabyte. A primary without a backup does none of it. 0: never.
    #[arg(long, value_name = "RECORDS", env = "FTRUN_MEMORY_CHECK", default_value_t = MemoryCheck::AUTO)]
    pub memory_check: MemoryCheck,
}

/// What is compressed of a log, where it is written.
#[derive(Debug, Args, Clone)]
pub struct CompressOption {
    /// Which frames of the log are compressed (LZ4): those where it pays, and none towards a backup at a loopback address
    /// (`auto`); every one that gets smaller (`always`); none (`never`). Readers take all of them.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub compress: Compress,
}

/// Switches rules off, one by one, so that tests can show that each is needed. For tests only.
#[derive(Debug, Args, Clone)]
pub struct Faults {
    /// Test only: switch rules off.
    #[arg(
        long = "test-without",
        hide = true,
        value_name = "RULE",
        env = "FTRUN_TEST_WITHOUT",
        value_delimiter = ',',
        value_parser = ["output", "input", "drain", "test-and-set", "deduplication", "stop", "epochs"]
    )]
    pub without: Vec<String>,
}

impl Arguments {
    /// What was typed, if it makes sense.
    pub fn typed() -> Result<Self, clap::Error> {
        let arguments = Self::try_parse()?;
        if arguments.command.is_none()
            && let Err((kind, wrong)) = arguments.run.check()
        {
            return Err(Self::command().error(kind, wrong));
        }
        let cpu = match &arguments.command {
            None => arguments.run.cpu,
            Some(Command::Record(record)) => record.cpu,
            Some(Command::Replay(replay)) => replay.cpu,
            Some(Command::Verify(verify)) => verify.cpu,
            Some(_) => None,
        };
        if let Some(wrong) = cpu.and_then(unusable_processor) {
            return Err(Self::command().error(ErrorKind::InvalidValue, wrong));
        }
        Ok(arguments)
    }
}

impl Run {
    /// Whether the options go together.
    fn check(&self) -> Result<(), (ErrorKind, String)> {
        let missing = |wrong: &str| Err((ErrorKind::MissingRequiredArgument, wrong.to_owned()));
        let conflict = |wrong: &str| Err((ErrorKind::ArgumentConflict, wrong.to_owned()));
        let invalid = |wrong: String| Err((ErrorKind::InvalidValue, wrong));
        if let Some(Err(error)) = self.arbiter.as_deref().map(str::parse::<ArbiterSpec>) {
            return invalid(format!("--arbiter: {error}"));
        }
        if self.heartbeat == 0 || self.timeout < self.heartbeat.saturating_mul(2) {
            return invalid(format!(
                "--heartbeat {} and --timeout {}: expected at least 1 ms, and a timeout of two heartbeats or more",
                self.heartbeat, self.timeout
            ));
        }
        if self.pass.is_some() && !self.proxy {
            return conflict("--pass is for --proxy");
        }
        if self.backup {
            return match (&self.listen, self.inherited.listen_fd) {
                (None, None) => missing("--backup needs --listen ADDR: the address where the primary connects"),
                _ => Ok(()),
            };
        }
        if let Err(wrong) = self.clients() {
            return invalid(wrong);
        }
        if self.proxy {
            return match (self.control, self.inherited.control_fd) {
                (None, None) if self.pass.is_some() => Ok(()),
                (None, None) => missing("--proxy needs --control ADDR: the address where the replicas connect"),
                _ if self.arbiter.is_some() => conflict("--arbiter is for replicas, the proxy asks none"),
                _ => Ok(()),
            };
        }
        if self.server.is_empty() {
            return missing("no server is named: ftrun [OPTIONS] -- COMMAND [ARGUMENTS]");
        }
        match (&self.peer, self.control) {
            (None, None) => Ok(()),
            (Some(_), Some(_)) if self.arbiter.is_none() => {
                missing("with --peer the arbiter must be named: --arbiter file:DIR on storage that both replicas share")
            }
            (Some(_), Some(_)) if self.listen.is_some() => {
                conflict("with --peer the address of clients is the proxy's: give --listen to ftrun --proxy")
            }
            (Some(_), Some(_)) => Ok(()),
            _ => missing(
                "--peer (the backup) and --control (the proxy) belong together; without both, everything runs on this machine",
            ),
        }
    }

    /// Where clients connect, if --listen says so: by TCP.
    ///
    /// # Errors
    /// When it names something else.
    pub fn clients(&self) -> Result<Option<SocketAddr>, String> {
        match &self.listen {
            None => Ok(None),
            Some(PeerAddress::Tcp(address)) => Ok(Some(*address)),
            Some(other) => Err(format!("--listen {other}: clients connect by TCP; expected IP:PORT")),
        }
    }
}

/// Why this process cannot run on a processor.
fn unusable_processor(cpu: usize) -> Option<String> {
    use nix::sched::{CpuSet, sched_getaffinity};
    let allowed = sched_getaffinity(nix::unistd::Pid::from_raw(0)).ok()?;
    let usable: Vec<String> =
        (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false)).map(|cpu| cpu.to_string()).collect();
    let missing = !usable.contains(&cpu.to_string());
    missing.then(|| format!("--cpu {cpu}: this process may use the processors {}", usable.join(", ")))
}

/// The other jobs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record a program into a directory.
    Record(Record),
    /// Replay a recording: its output appears again, every call is compared.
    Replay(Replay),
    /// Record a program, replay that at once, and compare all there is: calls, output, registers, memory.
    Verify(Verify),
    /// Show what a recording holds.
    Dump(Dump),
    /// Show the replicas of a service.
    Status(Status),
    /// Show a failover: a key-value server under ftrun, a client, and the death of the primary.
    Demo(Demo),
    /// The key-value server of the demonstration.
    #[command(hide = true)]
    ExampleKv(ExampleKv),
}

#[derive(Debug, Args)]
pub struct Record {
    /// The directory for the recording; made if it does not exist.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The processor that the program and its tracer share.
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    #[command(flatten)]
    pub layer: LayerOption,
    #[command(flatten)]
    pub compress: CompressOption,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// A recording.
    pub directory: PathBuf,
    /// Test only: after so many records the process goes on by itself, with real kernel objects.
    #[arg(long = "test-live-after", hide = true, value_name = "RECORDS")]
    pub live_after: Option<u64>,
    /// The processor that the process and its tracer share.
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    #[command(flatten)]
    pub layer: LayerOption,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Keep the recording in this directory; made if it does not exist. Without it one that was found identical is removed.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// The processor that the program and its tracer share.
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,
    /// Memory is compared after each 1000 records, unless --memory-check names a number.
    #[command(flatten)]
    pub layer: LayerOption,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Dump {
    /// A recording.
    pub directory: PathBuf,
    /// One JSON object for each record.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Where the processes of the service meet.
    #[arg(long, env = "FTRUN_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Seconds of load; the primary is killed in the middle.
    #[arg(long, default_value_t = 4)]
    pub seconds: u64,
}

#[derive(Debug, Args)]
pub struct ExampleKv {
    /// Where clients connect.
    #[arg(long)]
    pub listen: SocketAddr,
}

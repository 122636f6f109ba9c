//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Keeps an unmodified single-threaded server alive through the death of its machine.
///
/// `ftrun -- ./server` starts a backup and a proxy on this machine; see the README for several machines.
#[derive(Debug, Parser)]
#[command(name = "ftrun", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub run: Run,
}

/// Options of the main job, in its three parts.
#[derive(Debug, Args)]
pub struct Run {
    /// Where the processes of this service meet and keep their state.
    #[arg(long, env = "FTRUN_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Be a backup: wait for a primary on --listen.
    #[arg(long, conflicts_with_all = ["proxy", "peer", "server"])]
    pub backup: bool,

    /// Be the proxy: replicas reach it on --control.
    #[arg(long, conflicts_with_all = ["peer", "server"])]
    pub proxy: bool,

    /// Backup: where the primary connects. Proxy: where clients connect, instead of the address that the server asks for.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,

    /// Primary: the backup's --listen address; without it a backup is started on this machine.
    #[arg(long, value_name = "ADDR")]
    pub peer: Option<SocketAddr>,

    /// The proxy's control address: where it listens, or, for a primary, where to reach it.
    #[arg(long, value_name = "ADDR")]
    pub control: Option<SocketAddr>,

    /// This replica's address as the proxy can reach it (default: the one it reaches the proxy from).
    #[arg(long, value_name = "IP")]
    pub advertise: Option<std::net::IpAddr>,

    /// The arbiter, `file:DIR` on storage that both replicas share (default: in the state directory).
    #[arg(long, value_name = "SPEC")]
    pub arbiter: Option<String>,

    /// Milliseconds between heartbeats.
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub heartbeat: u64,

    /// Milliseconds without a heartbeat after which a replica is taken for dead.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub timeout: u64,

    /// The processor that the server and its tracer share.
    #[arg(long, value_name = "N")]
    pub cpu: Option<usize>,

    #[command(flatten)]
    pub inherited: Inherited,

    #[command(flatten)]
    pub faults: Faults,

    /// The server and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

/// Sockets that a parent hands to the processes it starts.
#[derive(Debug, Args)]
pub struct Inherited {
    /// A listening socket inherited from the parent, instead of --listen.
    #[arg(long, hide = true)]
    pub listen_fd: Option<i32>,

    /// A listening socket inherited from the parent, instead of --control.
    #[arg(long, hide = true)]
    pub control_fd: Option<i32>,
}

/// Switches rules off, one by one, so that tests can show that each is needed. For tests only.
#[derive(Debug, Args, Clone)]
pub struct Faults {
    /// Test only: switch a rule off (output, input, drain, test-and-set, deduplication).
    #[arg(long = "test-without", hide = true, value_name = "RULE", env = "FTRUN_TEST_WITHOUT", value_delimiter = ',')]
    pub without: Vec<String>,
}

/// The other jobs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record a program into a directory.
    Record(Record),
    /// Replay a recording: its output appears again, every call is compared.
    Replay(Replay),
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

//! Zero configuration: backup and proxy as children of the primary, on this machine alone.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use common::pair::address::PeerAddress;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::unistd::pipe2;
use tracer::peer::Listener;
use tracer::say;

use crate::args::Run;
use crate::ending::{self, Bond};
use crate::state::StateDir;

/// How long the children may take to end after the server.
const PATIENCE: Duration = Duration::from_secs(15);

/// The children and where they listen.
#[derive(Debug)]
pub struct Embedded {
    children: Vec<Child>,
    /// The backup's address.
    pub backup: PeerAddress,
    /// The proxy's control address.
    pub control: SocketAddr,
}

/// Starts both.
pub fn start(args: &Run, state: &StateDir) -> Result<Embedded> {
    let backup = PeerAddress::Abstract(format!("ftrun-{:016x}", super::random()));
    let log = Listener::bind(&backup).context("no address for the backup")?;
    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no address for the proxy")?;
    let mut embedded = Embedded { children: Vec::new(), backup, control: control.local_addr()? };
    let (parent, held) = pipe2(OFlag::O_CLOEXEC).context("no pipe")?;
    // It is closed when this process ends, however that comes: until they are needed, the children end with it.
    let _ = held.into_raw_fd();
    let mine = [log.as_fd(), control.as_fd(), parent.as_fd()];
    let inherited: Vec<BorrowedFd<'_>> = mine.into_iter().chain(state.lock_fd()).collect();
    for fd in &inherited {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    let spawned =
        embedded.spawn(args, state, [log.as_fd(), control.as_fd()].map(|fd| fd.as_raw_fd()), parent.as_raw_fd());
    for fd in &inherited {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    spawned.map(|()| embedded)
}

impl Embedded {
    fn spawn(&mut self, args: &Run, state: &StateDir, [log, control]: [i32; 2], parent: i32) -> Result<()> {
        let base = || {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("ftrun").arg("--state-dir").arg(state.path());
            command.args(["--parent-fd", &parent.to_string()]);
            // The terminal's signals are for the server; these two end with it.
            command.process_group(0);
            if !args.faults.without.is_empty() {
                command.arg("--test-without").arg(args.faults.without.join(","));
            }
            command
        };
        let mut proxy = base();
        proxy.args(["--proxy", "--control-fd", &control.to_string()]);
        if let Some(listen) = &args.listen {
            proxy.args(["--listen", &listen.to_string()]);
        }
        proxy.stdin(Stdio::null()).stdout(Stdio::null());
        self.keep(proxy.spawn().context("the proxy cannot be started")?, state, "proxy")?;
        let mut backup = base();
        backup.args(["--backup", "--listen-fd", &log.to_string(), "--layer", args.layer.layer.name()]);
        backup.args(["--signal-deadline", &args.layer.signal_deadline.to_string()]);
        backup.args(["--progress-interval", &args.layer.progress_interval.to_string()]);
        backup.args(["--ticks", &args.layer.ticks.to_string()]);
        self.keep(backup.spawn().context("the backup cannot be started")?, state, "backup")
    }

    fn keep(&mut self, child: Child, state: &StateDir, name: &str) -> Result<()> {
        let pid = i32::try_from(child.id())?;
        self.children.push(child);
        ending::with_us(pid, Bond::Service, Some(state.join(&StateDir::socket_name(name, pid))))
    }

    /// Waits until both have ended, as they do after the server; ends them when they do not.
    pub fn wait(mut self) {
        let deadline = Instant::now() + PATIENCE;
        for child in &mut self.children {
            let pid = child.id();
            while let Ok(None) = child.try_wait() {
                if Instant::now() > deadline {
                    say!("process {pid} has not ended {} s after the server and is killed", PATIENCE.as_secs());
                    // It may have ended at this moment.
                    let _ = child.kill();
                    let _ = child.wait();
                    break;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            ending::has_ended(pid.cast_signed());
        }
    }
}

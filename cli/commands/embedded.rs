//! Zero configuration: backup and proxy as children of the primary, on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::args::Run;
use crate::state::StateDir;

/// How long the children may take to end after the server.
const PATIENCE: Duration = Duration::from_secs(15);

/// The children and where they listen.
#[derive(Debug)]
pub struct Embedded {
    children: Vec<Child>,
    /// The backup's address.
    pub backup: SocketAddr,
    /// The proxy's control address.
    pub control: SocketAddr,
}

/// Starts both.
pub fn start(args: &Run, state: &StateDir) -> Result<Embedded> {
    let log = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no address for the backup")?;
    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no address for the proxy")?;
    let mut embedded = Embedded { children: Vec::new(), backup: log.local_addr()?, control: control.local_addr()? };
    let inherited: Vec<BorrowedFd<'_>> = [log.as_fd(), control.as_fd()].into_iter().chain(state.lock_fd()).collect();
    for fd in &inherited {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    let spawned = embedded.spawn(args, state, &log, &control);
    for fd in &inherited {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    match spawned {
        Ok(()) => Ok(embedded),
        Err(error) => {
            embedded.kill();
            Err(error)
        }
    }
}

impl Embedded {
    fn spawn(&mut self, args: &Run, state: &StateDir, log: &TcpListener, control: &TcpListener) -> Result<()> {
        let base = || {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("ftrun").arg("--state-dir").arg(state.path());
            // The terminal's signals are for the server; these two end with it.
            command.process_group(0);
            if !args.faults.without.is_empty() {
                command.arg("--test-without").arg(args.faults.without.join(","));
            }
            command
        };
        let mut proxy = base();
        proxy.args(["--proxy", "--control-fd", &control.as_raw_fd().to_string()]);
        if let Some(listen) = args.listen {
            proxy.args(["--listen", &listen.to_string()]);
        }
        proxy.stdin(Stdio::null()).stdout(Stdio::null());
        self.children.push(proxy.spawn().context("the proxy cannot be started")?);
        let mut backup = base();
        backup.args(["--backup", "--listen-fd", &log.as_raw_fd().to_string()]);
        self.children.push(backup.spawn().context("the backup cannot be started")?);
        Ok(())
    }

    /// Lets them go on: one of them has taken over.
    pub fn leave(self) {
        drop(self);
    }

    /// Waits until both have ended, as they do after the server; ends them when they do not.
    pub fn wait(mut self) {
        let deadline = Instant::now() + PATIENCE;
        for child in &mut self.children {
            while let Ok(None) = child.try_wait() {
                if Instant::now() > deadline {
                    tracer::say!("process {} does not end and is killed", child.id());
                    let _ = child.kill();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Ends both.
    pub fn kill(mut self) {
        for child in &mut self.children {
            // One that has ended already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

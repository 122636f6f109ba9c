//! A host: a thread in a network namespace of its own. It has no name, so that the kernel removes it, its links included,
//! with the last process and thread in it, however the test ends.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, gettid};

use crate::support::installed;

type Job = Box<dyn FnOnce() + Send>;

/// See the module.
pub(super) struct Host {
    jobs: Sender<Job>,
    thread: Pid,
}

/// Why there can be no hosts here.
pub(super) struct Unavailable(pub(super) String);

/// Whether hosts can be made here.
pub(super) fn available() -> Result<(), Unavailable> {
    let tool = installed("ip").map(drop).map_err(|_| Unavailable("ip (iproute2) is not installed".to_owned()));
    let made = || {
        let outcome = thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join();
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(errno)) => Err(Unavailable(format!("no network namespace can be made ({errno}): run as root"))),
            Err(_) => Err(Unavailable("no thread can be started".to_owned())),
        }
    };
    tool.and_then(|()| made())
}

impl Host {
    /// A host without any link.
    pub(super) fn new() -> Result<Self> {
        let (jobs, to_do) = channel::<Job>();
        let (sender, made) = channel();
        thread::spawn(move || {
            if sender.send(unshare(CloneFlags::CLONE_NEWNET).map(|()| gettid())).is_ok() {
                to_do.iter().for_each(|job| job());
            }
        });
        let thread = made.recv().context("a host")?.context("a network namespace")?;
        let host = Self { jobs, thread };
        host.ip("link set lo up")?;
        Ok(host)
    }

    /// Does something in this host; processes started there stay there, sockets too.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (done, result) = channel();
        // The one who waits for the result is this function.
        let job = Box::new(move || drop(done.send(job())));
        self.jobs.send(job).ok().context("the host is gone")?;
        result.recv().context("what was to be done in a host has panicked")
    }

    pub(super) fn ip(&self, arguments: &str) -> Result<()> {
        let arguments: Vec<_> = arguments.split(' ').map(str::to_owned).collect();
        let program = installed("ip")?;
        let command = format!("ip {}", arguments.join(" "));
        let output = self.run(move || Command::new(program).args(arguments).output())??;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{command}: {}", said.trim());
        Ok(())
    }

    /// Links it to another host: the names of the two ends, and their addresses in a network of 256.
    pub(super) fn link(&self, other: &Self, near: &str, far: &str, addresses: [Ipv4Addr; 2]) -> Result<()> {
        self.ip(&format!("link add {near} type veth peer name {far} netns {}", other.thread))?;
        for (host, name, address) in [(self, near, addresses[0]), (other, far, addresses[1])] {
            host.ip(&format!("addr add {address}/24 dev {name}"))?;
            host.ip(&format!("link set {name} up"))?;
        }
        Ok(())
    }

    /// Gives an end of a link a link-local address, and says by which number its host knows it.
    pub(super) fn add_link_local(&self, name: &'static str, address: Ipv6Addr) -> Result<u32> {
        self.ip(&format!("addr add {address}/64 dev {name} nodad"))?;
        let known = self.run(|| fs::read_to_string("/proc/thread-self/net/if_inet6"))??;
        let of_it = known.lines().find(|line| line.ends_with(&format!(" {name}")));
        let number = of_it.and_then(|line| u32::from_str_radix(line.split_whitespace().nth(1)?, 16).ok());
        number.with_context(|| format!("{name} has no number: {known}"))
    }

    /// Takes a link away: nothing passes any more, in either direction.
    pub(super) fn set_down(&self, name: &str) -> Result<()> {
        self.ip(&format!("link set {name} down"))
    }
}

#[test]
fn a_host_has_only_its_own_links() {
    if let Err(Unavailable(reason)) = available() {
        crate::support::skip("hosts::host::a_host_has_only_its_own_links", &reason);
        return;
    }
    let outcome = Host::new().and_then(|host| {
        let seen = host.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        let names: Vec<_> = seen.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim).collect();
        ensure!(names == ["lo"], "a new host has {names:?}");
        Ok(())
    });
    crate::support::verdict(outcome);
}

//! `ftrun --proxy`.

use std::time::Duration;

use anyhow::{Context, Result};
use proxy::{Config, Exit as ProxyExit, Faults, Stats};
use serde_json::json;

use crate::args::Run;
use crate::ending;
use crate::exit::Exit;
use crate::state::StateDir;

pub fn run(args: Run) -> Result<Exit> {
    super::catch_signals(args.inherited.parent_fd.is_some())?;
    let state = StateDir::open(args.state_dir.as_deref())?;
    let control = super::listener(args.inherited.control_fd, args.control, "--control")?;
    control.set_nonblocking(true)?;
    allow_many_connections();
    let without = |rule: &str| args.faults.without.iter().any(|one| one == rule);
    let stats = Stats::default();
    let mut config = Config::default();
    if let Some(fd) = args.inherited.parent_fd {
        // Nobody else knows where this proxy is: once the replicas of its parent are gone, none comes back.
        config.replicas_lost_limit = Duration::from_secs(1);
        let stats = stats.clone();
        ending::with_parent(fd, "the proxy", move || stats.read().replicas == 0)?;
    }
    let config = Config {
        listen_override: args.listen,
        stats: stats.clone(),
        faults: Faults {
            ignore_output_rule: without("output"),
            ignore_input_rule: without("input"),
            ignore_dedup: without("deduplication"),
            ignore_epochs: without("epochs"),
        },
        ..config
    };
    state.serve("proxy", move || {
        let status = stats.read();
        json!({
            "role": "proxy", "pid": std::process::id(), "epoch": status.epoch.0,
            "listen": status.listen.iter().map(ToString::to_string).collect::<Vec<_>>(), "connections": status.connections,
        })
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        let control = tokio::net::TcpListener::from_std(control).context("the control listener")?;
        anyhow::Ok(proxy::run(config, control, std::future::pending()).await?)
    })?;
    Ok(match exit {
        ProxyExit::Server { status } => Exit::Server(status),
        ProxyExit::Shutdown => Exit::Success,
    })
}

/// Each client takes two descriptors: as many as the system lets this process have.
fn allow_many_connections() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without it the limit is lower, which the proxy copes with.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

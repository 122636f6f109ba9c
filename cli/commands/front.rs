//! `ftrun --proxy`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::ids::{Epoch, ReplicaId};
use common::orders::{Listener, ListenerId, Role, ToProxy, ToReplica};
use proxy::{Config, Exit as ProxyExit, Faults, Stats};
use serde_json::json;
use tracer::control::{Notice, ProxyControl};

use crate::args::{Pass, Run};
use crate::ending;
use crate::exit::Exit;
use crate::state::StateDir;

/// Of the listener that `--pass` opens.
const BACKLOG: i32 = 1024;

pub fn run(args: Run) -> Result<Exit> {
    super::catch_signals(args.inherited.parent_fd.is_some())?;
    let state = StateDir::open(args.state_dir.as_deref())?;
    // Without replicas any address will do.
    let asked = args.control.or(args.pass.map(|_| (Ipv4Addr::LOCALHOST, 0).into()));
    let control = match (args.inherited.control_fd, asked) {
        (Some(fd), _) => tracer::sys::inherited(fd)?.into(),
        (None, Some(address)) => TcpListener::bind(address)
            .with_context(|| format!("cannot listen on --control {address}; name another address"))?,
        (None, None) => bail!("--control is missing: the address to listen on"),
    };
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
        listen_override: args.clients().map_err(anyhow::Error::msg)?,
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
    if let Some(pass) = args.pass {
        let control = control.local_addr().context("the control listener")?;
        std::thread::Builder::new().name("pass".into()).spawn(move || match pass_on(control, pass) {
            Ok(()) => {}
            Err(error) => ending::now(Exit::Failed, format_args!("--pass: {error:#}")),
        })?;
    }
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

/// Plays a solo replica whose server is at the target: the proxy does all that it does for one, and holds no output.
fn pass_on(control: SocketAddr, Pass { listen, target }: Pass) -> Result<()> {
    let (id, role) = (ListenerId(1), Role::Solo);
    let (ended, lasts) = std::sync::mpsc::channel();
    let control = ProxyControl::connect(control, Epoch(1), ReplicaId(1), role, move |notice| match notice {
        // Nobody listens any more when this thread has failed.
        Notice::Closed => drop(ended.send(())),
        Notice::Message(_) => {}
    })?;
    let bind = ToProxy::Bind { id, asked: listen, reuse_addr: true, v6_only: false };
    let asked = match control.ask(&bind, "Bind")? {
        ToReplica::Bound { outcome: Ok(asked), .. } => asked,
        other => bail!("the proxy cannot bind {listen}: {other:?}"),
    };
    let listener = Listener { id, asked, real: target };
    match control.ask(&ToProxy::Listen { listener, backlog: BACKLOG }, "Listen")? {
        ToReplica::Listening { outcome: Ok(()), .. } => {}
        other => bail!("the proxy cannot listen on {listen}: {other:?}"),
    }
    // The proxy serves for as long as this replica is connected.
    lasts.recv().context("the proxy has closed its control connection")
}

/// Each client takes two descriptors: as many as the system lets this process have.
fn allow_many_connections() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without it the limit is lower, which the proxy copes with.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

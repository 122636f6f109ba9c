//! The backup: replays the log live, takes over when the primary dies.

mod greeting;
mod work;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::arbiter::Claim;
use common::ids::{Epoch, ReplicaId};
use common::orders::Role;
use common::pair::channel;
use common::pair::message::{Hello, ToPrimary};
use common::pair::state::{Action, Event, Faults as PairFaults, Pair, Reason, Timing};
use replayer::driver::Driver;
use replayer::intake::Intake;
use replayer::restore;
use replayer::retained::Retained;
use serde_json::json;
use socket2::Socket;
use tracer::control::ProxyControl;
use tracer::monitor::{self, Beside, Replica};
use tracer::peer::Listener;
use tracer::say;

use self::greeting::{Greeted, greet, receive_snapshot};
use self::work::{Keep, Order, Work};
use crate::args::Run;
use crate::ending::{self, Bond};
use crate::exit::{Exit, explain};
use crate::state::StateDir;

/// What the threads of the backup share.
#[derive(Debug, Default)]
struct Shared {
    retained: Retained,
    epoch: AtomicU64,
    solo: AtomicBool,
    /// Sockets whose output is not held back, once this replica acts.
    unprotected: Mutex<BTreeSet<String>>,
    ending: AtomicBool,
    server: AtomicI32,
}

struct Backup {
    intake: Arc<Intake>,
    shared: Arc<Shared>,
    beside: Beside,
    orders: Sender<Order>,
    log_id: u64,
    promoting: bool,
    skip_drain: bool,
}

impl Replica for Backup {
    fn act(&mut self, action: Action, epoch: Epoch) {
        // The main thread takes orders until it ends, and then none is needed.
        let order = |order| drop(self.orders.send(order));
        match action {
            Action::StopAcknowledging => self.intake.stop(),
            Action::Drain => {
                say!("the primary is lost; this backup takes over in epoch {epoch}");
                self.promoting = true;
                self.intake.drain();
            }
            Action::GoLive => {
                if self.skip_drain {
                    self.intake.skip();
                }
                order(Order::GoLive(epoch));
            }
            Action::TellProxy => order(Order::TellProxy(epoch)),
            Action::SendHeartbeat => {
                self.intake.report();
                self.intake.say(&ToPrimary::Heartbeat);
                self.beside.send(self.log_id, epoch, Role::Backup);
            }
            Action::Claim(_) | Action::GoSolo | Action::EndSelf(_) => {}
        }
    }

    fn end(&mut self, reason: Reason) {
        match reason {
            Reason::ServerEnded | Reason::Diverged => drop(self.orders.send(Order::End)),
            reason => {
                self.shared.ending.store(true, Ordering::SeqCst);
                ending::now(super::exit_of(reason), format_args!("this backup ends: {reason}"));
            }
        }
    }
}

pub fn run(args: Run) -> Result<Exit> {
    super::catch_signals(args.inherited.parent_fd.is_some())?;
    let in_step = Arc::new(AtomicBool::new(false));
    if let Some(fd) = args.inherited.parent_fd {
        let in_step = Arc::clone(&in_step);
        ending::with_parent(fd, "the backup", move || !in_step.load(Ordering::SeqCst))?;
    }
    let state = StateDir::open(args.state_dir.as_deref())?;
    let listener = listener(&args)?;
    let cpu = super::processor(args.cpu, 1);
    let claim = Claim { replica: ReplicaId(super::random()), nonce: super::random() };
    loop {
        let (stream, from) = match listener.accept() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                say!("a stranger was turned away: {error}");
                continue;
            }
            accepted => accepted.context("the backup's listener failed")?,
        };
        match greet(stream, &args, claim.replica) {
            Ok(greeted) => {
                drop(listener);
                return follow(&args, &state, greeted, claim, cpu, &in_step);
            }
            Err(error) => say!("{from} is no primary for this backup, which waits on: {}", explain(&error)),
        }
    }
}

/// Where the primary connects: inherited, or bound here.
fn listener(args: &Run) -> Result<Listener> {
    match (args.inherited.listen_fd, &args.listen) {
        (Some(fd), _) => Ok(Listener::inherited(tracer::sys::inherited(fd)?)),
        (None, Some(address)) => Listener::bind(address)
            .with_context(|| format!("cannot listen on --listen {address}; name another address")),
        (None, None) => bail!("--listen is missing: the address to listen on"),
    }
}

/// What a backup begins with.
struct Prepared {
    proxy: Option<Arc<ProxyControl>>,
    replica: restore::Restored,
}

fn prepare(
    args: &Run,
    state: &StateDir,
    (stream, hello): (&mut Socket, &Hello),
    replica: ReplicaId,
    shared: &Arc<Shared>,
    cpu: Option<usize>,
) -> Result<Prepared> {
    let proxy = match hello.settings.proxy_control {
        Some(address) => Some(Arc::new(connect_proxy(args.control.unwrap_or(address), hello, replica, shared)?)),
        None => None,
    };
    let (manifest, contents) = receive_snapshot(stream, state)?;
    let pinned = super::Pinned::on(cpu);
    let replica = restore::restore(&manifest, &contents, cpu)?;
    drop(pinned);
    ending::with_us(replica.stopped.pid(), Bond::Traced, None)?;
    Ok(Prepared { proxy, replica })
}

fn follow(
    args: &Run,
    state: &StateDir,
    greeted: Greeted,
    claim: Claim,
    cpu: Option<usize>,
    in_step: &AtomicBool,
) -> Result<Exit> {
    let Greeted { mut stream, hello, heartbeats, mut arbiter } = greeted;
    let shared = Arc::new(Shared { epoch: AtomicU64::new(hello.epoch.0), ..Shared::default() });
    let Prepared { proxy, replica: restored } =
        prepare(args, state, (&mut stream, &hello), claim.replica, &shared, cpu)
            .inspect_err(|error| {
                // A primary that is gone is why nothing came.
                let _ = channel::write_message(&mut stream, &ToPrimary::Failed { reason: explain(error) });
            })
            .context("this backup cannot be brought into step")?;
    shared.server.store(restored.stopped.pid(), Ordering::SeqCst);
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(Some(Duration::from_millis(hello.settings.timeout_ms.max(100))))?;

    let without = |rule: &str| args.faults.without.iter().any(|one| one == rule);
    let (events, incoming) = mpsc::channel();
    let (orders, ordered) = mpsc::channel();
    let intake = Intake::new(restored.lsn, stream.try_clone()?, proxy.clone()).keeping_on(without("stop"));
    let intake = Arc::new(intake);
    let beside = Beside::start(heartbeats, None, hello.log_id, events.clone())?;
    let timing = Timing::new(
        Duration::from_millis(hello.settings.heartbeat_ms),
        Duration::from_millis(hello.settings.timeout_ms),
    );
    let faults = PairFaults { skip_claim: false, skip_drain: without("drain"), keep_acknowledging: without("stop") };
    let pair = Pair::backup(hello.epoch, timing).with_faults(faults);
    events.send(Event::PeerConnected)?;
    events.send(Event::InStep)?;
    let mut replica = Backup {
        intake: Arc::clone(&intake),
        shared: Arc::clone(&shared),
        beside,
        orders,
        log_id: hello.log_id,
        promoting: false,
        skip_drain: without("drain"),
    };
    let sharing = (Arc::clone(&shared), Arc::clone(&intake));
    state.serve("backup", move || status(&sharing.0, &sharing.1))?;
    in_step.store(true, Ordering::SeqCst);
    intake.say(&ToPrimary::Restored);
    std::thread::Builder::new().name("pair".into()).spawn(move || {
        monitor::run(pair, &incoming, &mut *arbiter, &claim, &mut replica);
    })?;
    let (taking, model, heard, epoch) = (Arc::clone(&intake), restored.kernel.clone(), events.clone(), hello.epoch);
    std::thread::Builder::new().name("intake".into()).spawn(move || taking.run(stream, model, epoch, &heard))?;

    let advertise = args.advertise.or_else(|| proxy.as_ref().map(|p| p.local_ip()));
    let advertise = advertise.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    let manner = super::manner(&args.layer);
    let source = Box::new(Arc::clone(&intake));
    let driver = Driver::new(restored, manner, source, intake.bell(), Box::new(Keep(Arc::clone(&shared))))?;
    let work = Work { shared, intake, proxy, events, ordered, replica: claim.replica, advertise, manner };
    let _pinned = super::Pinned::on(cpu);
    work.run(driver)
}

fn connect_proxy(
    address: std::net::SocketAddr,
    hello: &Hello,
    replica: ReplicaId,
    shared: &Arc<Shared>,
) -> Result<ProxyControl> {
    let (ending, retaining) = (Arc::clone(shared), Arc::clone(shared));
    super::proxy_link::connect(
        address,
        (hello.epoch, replica, Role::Backup),
        move || ending.ending.load(Ordering::SeqCst),
        move |conn, offset| retaining.retained.received(conn, offset),
    )
}

fn status(shared: &Shared, intake: &Intake) -> serde_json::Value {
    let (received, replayed, lag) = intake.progress();
    let role = if shared.solo.load(Ordering::SeqCst) { "solo" } else { "backup" };
    json!({
        "role": role, "ftrun_pid": std::process::id(), "server_pid": shared.server.load(Ordering::SeqCst),
        "epoch": shared.epoch.load(Ordering::SeqCst),
        "lsn": received.0, "acked_lsn": received.0, "replayed_lsn": replayed.0, "lag_ms": lag,
        "unprotected": super::listed(&shared.unprotected),
    })
}

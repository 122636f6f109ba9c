//! The backup: replays the log live, takes over when the primary dies.

use std::net::{IpAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::arbiter::{self, ArbiterSpec, Claim};
use common::ids::{ConnId, Epoch, Lsn, ReplicaId};
use common::kernel::Kernel;
use common::orders::{Role, ToProxy};
use common::pair::channel::{self, FromPrimary};
use common::pair::message::{Hello, ToBackup, ToPrimary};
use common::pair::state::{Action, Event, Faults as PairFaults, Pair, Reason, Timing};
use common::record::Kind;
use common::snapshot::{ContentStore, FileStore, Manifest};
use replayer::driver::{Driver, Outputs, ReplayError};
use replayer::intake::Intake;
use replayer::live::{self, Identity};
use replayer::restore;
use replayer::retained::Retained;
use serde_json::json;
use tracer::control::ProxyControl;
use tracer::monitor::{self, Beside, Replica};
use tracer::recorder::{Ending, FileAreas};
use tracer::say;
use tracer::tracee::Stopped;

use super::live::Survivor;
use crate::args::Run;
use crate::ending::{self, Bond};
use crate::exit::{Exit, explain};
use crate::state::StateDir;

const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Records between two looks at what need not be kept any more.
const SWEEP: u64 = 4096;

/// What the threads of the backup share.
#[derive(Debug, Default)]
struct Shared {
    retained: Retained,
    epoch: AtomicU64,
    solo: AtomicBool,
    ending: AtomicBool,
    server: AtomicI32,
}

/// From the pair to the main thread.
enum Order {
    GoLive(Epoch),
    TellProxy(Epoch),
    End,
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

/// Output of the replayed server: kept for the proxy; standard output is the primary's alone.
struct Keep<'a>(&'a Retained);

impl Outputs for Keep<'_> {
    fn produced(&mut self, conn: ConnId, bytes: &[u8]) {
        self.0.produced(conn, bytes);
    }

    fn inherited(&mut self, _: i32, _: &[u8]) {}
}

/// A primary that was accepted.
struct Greeted {
    stream: TcpStream,
    hello: Hello,
    heartbeats: UdpSocket,
    arbiter: Box<dyn common::arbiter::Arbiter + Send>,
}

pub fn run(args: Run) -> Result<Exit> {
    super::catch_signals(args.inherited.parent_fd.is_some())?;
    let in_step = Arc::new(AtomicBool::new(false));
    if let Some(fd) = args.inherited.parent_fd {
        let in_step = Arc::clone(&in_step);
        ending::with_parent(fd, "the backup", move || !in_step.load(Ordering::SeqCst))?;
    }
    let state = StateDir::open(args.state_dir.as_deref())?;
    let listener = super::listener(args.inherited.listen_fd, args.listen, "--listen")?;
    let cpu = super::processor(args.cpu, 1);
    let claim = Claim { replica: ReplicaId(super::random()), nonce: super::random() };
    loop {
        let (stream, from) = listener.accept().context("the backup's listener failed")?;
        match greet(stream, &args, claim.replica) {
            Ok(greeted) => {
                drop(listener);
                return follow(&args, &state, greeted, claim, cpu, &in_step);
            }
            Err(error) => say!("{from} is no primary for this backup, which waits on: {}", explain(&error)),
        }
    }
}

fn greet(mut stream: TcpStream, args: &Run, replica: ReplicaId) -> Result<Greeted> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HANDSHAKE_PATIENCE))?;
    std::io::Write::write_all(&mut stream, &channel::preamble())?;
    channel::read_preamble(&mut stream)?;
    let FromPrimary::Message(ToBackup::Hello(hello)) = channel::read_from_primary(&mut stream)? else {
        bail!("expected a greeting");
    };
    match fitting(&hello, args) {
        Ok(arbiter) => {
            let heartbeats = UdpSocket::bind((stream.local_addr()?.ip(), 0))?;
            let heartbeat_port = heartbeats.local_addr()?.port();
            channel::write_message(&mut stream, &ToPrimary::Accept { replica, heartbeat_port })?;
            Ok(Greeted { stream, hello: *hello, heartbeats, arbiter })
        }
        Err(error) => {
            let reason = explain(&error);
            channel::write_message(&mut stream, &ToPrimary::Refuse { reason })?;
            Err(error)
        }
    }
}

/// Whether this machine can stand in for the primary's.
fn fitting(hello: &Hello, args: &Run) -> Result<Box<dyn common::arbiter::Arbiter + Send>> {
    let own = env!("CARGO_PKG_VERSION");
    if hello.version != own {
        bail!("the primary runs ftrun {}, this backup {own}: install the same version on both", hello.version);
    }
    let lacking = hello.cpu.missing_from(&tracer::cpu::features());
    if !lacking.is_empty() {
        bail!("this processor lacks features of the primary's: {}; replicas need the same", lacking.join(", "));
    }
    let spec: ArbiterSpec = args.arbiter.as_deref().unwrap_or(&hello.settings.arbiter).parse()?;
    let mut arbiter = super::open_arbiter(&spec, &args.faults)?;
    arbiter::confirm(&mut *arbiter, &spec, hello.epoch, hello.replica)?;
    Ok(arbiter)
}

/// Takes the snapshot in; contents that were seen before are not sent again.
fn receive_snapshot(stream: &mut TcpStream, state: &StateDir) -> Result<(Manifest, FileStore)> {
    let FromPrimary::Message(ToBackup::Manifest(bytes)) = channel::read_from_primary(stream)? else {
        bail!("expected a snapshot");
    };
    let manifest = Manifest::decode(&bytes)?;
    let mut contents = FileStore::open(state.join("content"))?;
    let hashes = manifest.missing(&contents)?;
    channel::write_message(stream, &ToPrimary::Want { hashes })?;
    loop {
        match channel::read_from_primary(stream)? {
            FromPrimary::Message(ToBackup::Chunk { hash, bytes }) => {
                if contents.put(&bytes)? != hash {
                    bail!("the content {hash} arrived damaged");
                }
            }
            FromPrimary::Message(ToBackup::Start) => return Ok((manifest, contents)),
            FromPrimary::Message(ToBackup::Heartbeat { .. }) => {}
            _ => bail!("expected contents of the snapshot"),
        }
    }
}

/// A replica that is restored.
struct Restored {
    proxy: Option<Arc<ProxyControl>>,
    stopped: Stopped,
    kernel: Kernel,
    files: FileAreas,
    lsn: Lsn,
}

fn prepare(
    args: &Run,
    state: &StateDir,
    (stream, hello): (&mut TcpStream, &Hello),
    replica: ReplicaId,
    shared: &Arc<Shared>,
    cpu: Option<usize>,
) -> Result<Restored> {
    let proxy = match hello.settings.proxy_control {
        Some(address) => Some(Arc::new(connect_proxy(args.control.unwrap_or(address), hello, replica, shared)?)),
        None => None,
    };
    let (manifest, contents) = receive_snapshot(stream, state)?;
    let pinned = super::Pinned::on(cpu);
    let (stopped, kernel) = restore::restore(&manifest, &contents, cpu)?;
    drop(pinned);
    ending::with_us(stopped.pid(), Bond::Traced, None)?;
    let files = FileAreas::in_snapshot(&manifest.memory);
    Ok(Restored { proxy, stopped, kernel, files, lsn: manifest.lsn })
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
    let Restored { proxy, stopped, kernel, files, lsn } =
        prepare(args, state, (&mut stream, &hello), claim.replica, &shared, cpu)
            .inspect_err(|error| {
                // A primary that is gone is why nothing came.
                let _ = channel::write_message(&mut stream, &ToPrimary::Failed { reason: explain(error) });
            })
            .context("this backup cannot be brought into step")?;
    shared.server.store(stopped.pid(), Ordering::SeqCst);
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(Some(Duration::from_millis(hello.settings.timeout_ms.max(100))))?;

    let without = |rule: &str| args.faults.without.iter().any(|one| one == rule);
    let (events, incoming) = mpsc::channel();
    let (orders, ordered) = mpsc::channel();
    let intake = Intake::new(lsn, stream.try_clone()?, proxy.clone()).keeping_on(without("stop"));
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
    let (taking, model, heard, epoch) = (Arc::clone(&intake), kernel.clone(), events.clone(), hello.epoch);
    std::thread::Builder::new().name("intake".into()).spawn(move || taking.run(stream, model, epoch, &heard))?;

    let advertise = args.advertise.or_else(|| proxy.as_ref().map(|p| p.local_ip()));
    let advertise = advertise.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    let driver = Driver::new(stopped, kernel, files, lsn);
    let work = Work { shared, intake, proxy, events, ordered, replica: claim.replica, advertise };
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
    })
}

/// The main thread's part: the only one that traces the replica.
struct Work {
    shared: Arc<Shared>,
    intake: Arc<Intake>,
    proxy: Option<Arc<ProxyControl>>,
    events: Sender<Event>,
    ordered: Receiver<Order>,
    replica: ReplicaId,
    advertise: IpAddr,
}

impl Work {
    fn run(self, mut driver: Driver) -> Result<Exit> {
        let mut applied = 0u64;
        while let Some(item) = self.intake.next() {
            if let Err(error) = driver.apply(item.lsn, &item.record, &mut Keep(&self.shared.retained)) {
                return self.lost(driver, error);
            }
            self.intake.replayed(driver.lsn());
            if item.record.kind == Kind::End {
                return self.server_ended(&driver, item.record.result as i32);
            }
            applied += 1;
            if applied.is_multiple_of(SWEEP) {
                driver.forget_closed(&self.shared.retained);
            }
        }
        self.events.send(Event::Drained)?;
        match self.ordered.recv()? {
            Order::GoLive(epoch) => self.live(driver, epoch),
            Order::TellProxy(_) | Order::End => bail!("the pair ended while the log was drained"),
        }
    }

    fn lost(self, driver: Driver, error: ReplayError) -> Result<Exit> {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.intake.stop();
        if let ReplayError::Diverged(divergence) = &error {
            self.intake.say(&ToPrimary::Diverged { lsn: divergence.lsn, report: divergence.to_string() });
        }
        driver.kill();
        Err(error.into())
    }

    /// The End record is executed: everything is released, the clients get what is left.
    fn server_ended(self, driver: &Driver, status: i32) -> Result<Exit> {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.events.send(Event::ServerEnded)?;
        loop {
            match self.ordered.recv()? {
                Order::TellProxy(epoch) => {
                    if let Some(proxy) = &self.proxy {
                        let identity = Identity { epoch, replica: self.replica, advertise: self.advertise };
                        live::take_over(driver.kernel(), proxy, &self.shared.retained, identity, None)?;
                    }
                }
                Order::End => break,
                Order::GoLive(_) => bail!("the pair wants a server live that has ended"),
            }
        }
        if let Some(proxy) = &self.proxy {
            proxy.send(&ToProxy::Exit { status })?;
        }
        self.intake.say(&ToPrimary::Ended { status });
        Ok(Exit::Server(status))
    }

    fn live(self, driver: Driver, epoch: Epoch) -> Result<Exit> {
        let point = driver.into_point()?.context("the replica is dead although its server has not ended")?;
        let survivor = Survivor {
            proxy: self.proxy.as_deref(),
            retained: &self.shared.retained,
            epoch,
            replica: self.replica,
            advertise: self.advertise,
            primary_clock: self.intake.primary_clock(),
        };
        let ended = survivor.serve(point, &self.shared.epoch, || {
            self.shared.epoch.store(epoch.0, Ordering::SeqCst);
            self.shared.solo.store(true, Ordering::SeqCst);
            Ok(self.events.send(Event::WentLive)?)
        });
        self.shared.ending.store(true, Ordering::SeqCst);
        let status = match &ended {
            Ok(Ending::Ended(status)) => *status,
            Ok(Ending::Killed) => libc::SIGKILL,
            Err(error) => i32::from(Exit::of(error).code()) << 8,
        };
        if let Some(proxy) = &self.proxy {
            proxy.send(&ToProxy::Exit { status })?;
        }
        ended?;
        Ok(Exit::Server(status))
    }
}

//! The primary: runs and records the server, keeps a backup in step.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::arbiter::{ArbiterSpec, Claim, FileArbiter, next_epoch};
use common::ids::{Epoch, Lsn, ReplicaId};
use common::log::sealer::Sealer;
use common::orders::{Role, ToProxy};
use common::pair::address::PeerAddress;
use common::pair::message::{Hello, PairSettings};
use common::pair::state::{Action, Event, Pair, Reason, Timing};
use common::snapshot::MemoryStore;
use serde_json::json;
use tracer::capture::{self, About};
use tracer::control::{Aside, ProxyControl};
use tracer::interceptor::{self, patches::Patches};
use tracer::launch::{self, Command};
use tracer::monitor::{self, Beside, Replica};
use tracer::pipeline::{Pipeline, Producer};
use tracer::recorder::{Ending, Recorder};
use tracer::say;
use tracer::ship::{self, Channel, Link, Progress, Shipper};
use tracer::start::{self, Started};

use super::embedded::{self, Embedded};
use crate::args::Run;
use crate::ending::{self, Bond};
use crate::exit::Exit;
use crate::state::StateDir;

/// What the threads of the primary share.
#[derive(Debug, Default)]
struct Shared {
    pipeline: Pipeline,
    progress: Progress,
    epoch: AtomicU64,
    solo: AtomicBool,
    /// Sockets whose output is not held back.
    unprotected: Mutex<BTreeSet<String>>,
    /// The server has ended: what ends now does so in order.
    ending: AtomicBool,
}

/// Carries out what the pair says.
struct Primary {
    shared: Arc<Shared>,
    link: Link,
    beside: Beside,
    control: Arc<ProxyControl>,
    done: Sender<()>,
    log_id: u64,
    replica: ReplicaId,
}

impl Replica for Primary {
    fn act(&mut self, action: Action, epoch: Epoch) {
        match action {
            Action::SendHeartbeat => {
                self.link.heartbeat(&self.shared.pipeline, super::monotonic_ns());
                self.beside.send(self.log_id, epoch, Role::Primary);
            }
            Action::GoSolo => {
                say!("the backup is lost; the server goes on unprotected in epoch {epoch}");
                self.shared.epoch.store(epoch.0, Ordering::SeqCst);
                self.shared.solo.store(true, Ordering::SeqCst);
                self.shared.pipeline.discard();
                self.link.close();
            }
            Action::TellProxy => {
                let hello = ToProxy::Hello { epoch, replica: self.replica, role: Role::Solo };
                if let Err(error) = self.control.send(&hello) {
                    say!("the proxy cannot be told of epoch {epoch}: {error}");
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, reason: Reason) {
        match reason {
            Reason::ServerEnded => {
                // The main thread may be gone already.
                let _ = self.done.send(());
            }
            reason => {
                ending::now(super::exit_of(reason), format_args!("this replica ends: {reason}"));
            }
        }
    }
}

/// Where backup, proxy and arbiter are.
struct Place {
    peer: PeerAddress,
    control: SocketAddr,
    arbiter: ArbiterSpec,
    embedded: Option<Embedded>,
}

pub fn run(args: Run) -> Result<Exit> {
    let program = args.server.first().context("no server is named")?;
    launch::find_program(program)?;
    super::catch_signals(false)?;
    let mut state = StateDir::open(args.state_dir.as_deref())?;
    let is_embedded = args.peer.is_none() && args.control.is_none();
    if is_embedded {
        state.lock()?;
    }
    let spec: ArbiterSpec = match &args.arbiter {
        Some(spec) => spec.parse()?,
        None if is_embedded => {
            let dir = std::path::absolute(state.join("epochs"))?;
            FileArbiter::create(&dir)?;
            format!("file:{}", dir.display()).parse()?
        }
        None => bail!("no arbiter is named"),
    };
    let mut arbiter = super::open_arbiter(&spec, &args.faults)?;
    let claim = Claim { replica: ReplicaId(super::random()), nonce: super::random() };
    let epoch = next_epoch(&mut *arbiter, &claim).context("no epoch can be won")?;

    let cpu = super::processor(args.cpu, 0);
    let command = Command { argv: args.server.clone(), env: super::server_environment(), cpu };
    let pinned = super::Pinned::on(cpu);
    let started = start::start(&command, epoch)?;
    drop(pinned);
    ending::with_us(started.stopped.pid(), Bond::Traced, None)?;
    let mut place = place(&args, &state, spec, is_embedded)?;
    let exit = pair_and_run(&args, &state, (started, cpu), &mut place, epoch, claim, arbiter)?;
    if let Some(embedded) = place.embedded.filter(|_| exit != Exit::Superseded) {
        embedded.wait();
    }
    Ok(exit)
}

fn place(args: &Run, state: &StateDir, arbiter: ArbiterSpec, is_embedded: bool) -> Result<Place> {
    if is_embedded {
        let embedded = embedded::start(args, state)?;
        return Ok(Place {
            peer: embedded.backup.clone(),
            control: embedded.control,
            arbiter,
            embedded: Some(embedded),
        });
    }
    let (Some(peer), Some(control)) = (args.peer.clone(), args.control) else {
        bail!("--peer and --control belong together")
    };
    Ok(Place { peer, control, arbiter, embedded: None })
}

#[expect(
    clippy::too_many_lines,
    reason = "the one place that wires the primary's threads, in the order in which they start"
)]
fn pair_and_run(
    args: &Run,
    state: &StateDir,
    (started, cpu): (Started, Option<usize>),
    place: &mut Place,
    epoch: Epoch,
    claim: Claim,
    mut arbiter: Box<dyn common::arbiter::Arbiter + Send>,
) -> Result<Exit> {
    let Started { stopped, kernel, shared: memory } = started;
    let memory = Arc::new(memory);
    let pid = stopped.pid();
    let log_id = super::random();
    let shared = Arc::new(Shared { epoch: AtomicU64::new(epoch.0), ..Shared::default() });
    let sharing = Arc::clone(&shared);
    // A backup that has executed the server's end tells the proxy, perhaps before this replica's main thread goes on.
    let in_order = move || sharing.ending.load(Ordering::SeqCst) || sharing.pipeline.has_ended();
    let control =
        super::proxy_link::connect(place.control, (epoch, claim.replica, Role::Primary), in_order, |_, _| ())?;
    let control = Arc::new(control);
    let hello = Hello {
        log_id,
        epoch,
        replica: claim.replica,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cpu: tracer::cpu::features(),
        settings: PairSettings {
            proxy_control: Some(place.control),
            arbiter: place.arbiter.to_string(),
            heartbeat_ms: args.heartbeat,
            timeout_ms: args.timeout,
        },
    };
    let mut channel = Channel::open(&place.peer, hello)?;
    let mut contents = MemoryStore::default();
    let about = About { log_id, lsn: Lsn(0), command: args.server.clone() };
    let pinned = super::Pinned::on(cpu);
    let (stopped, manifest) = capture::capture(stopped, &kernel, about, &mut contents)?;
    let start::Patched { stopped, record: patch, sites, held } = start::patch(stopped)?;
    drop(pinned);

    let (events, incoming) = mpsc::channel();
    let sent = events.clone();
    let timing = Timing::new(Duration::from_millis(args.heartbeat), Duration::from_millis(args.timeout));
    let pair = Pair::primary(epoch, timing);
    channel.sync(&manifest, &contents, || ()).context("the backup cannot be brought into step")?;
    drop((contents, manifest));
    // From here on the backup may take over: the pair decides who acts.
    sent.send(Event::PeerConnected)?;
    sent.send(Event::InStep)?;
    let heartbeats = super::udp_towards(channel.heartbeats)?;
    let beside = Beside::start(heartbeats, Some(channel.heartbeats), log_id, events.clone())?;
    let (link, reader) = channel.into_link()?;
    let (done, finished) = mpsc::channel();
    let mut primary = Primary {
        shared: Arc::clone(&shared),
        link: link.clone(),
        beside,
        control: Arc::clone(&control),
        done,
        log_id,
        replica: claim.replica,
    };
    std::thread::Builder::new().name("pair".into()).spawn(move || {
        monitor::run(pair, &incoming, &mut *arbiter, &claim, &mut primary);
    })?;
    let (sharing, heard) = (Arc::clone(&shared), events.clone());
    std::thread::Builder::new().name("acks".into()).spawn(move || {
        ship::hear(reader, &sharing.progress, &sharing.pipeline, super::monotonic_ns, &heard);
    })?;
    let sealer = Sealer::new(epoch, args.compress.compress.towards(&place.peer));
    let shipper = Arc::new(Shipper::new(link, sealer, super::monotonic_ns));
    let (sharing, shipping) = (Arc::clone(&shared), Arc::clone(&shipper));
    std::thread::Builder::new()
        .name("shipper".into())
        .spawn(move || shipping.run(&sharing.pipeline, &sharing.progress))?;
    let (sharing, ring) = (Arc::clone(&shared), Arc::clone(&memory));
    state.serve("primary", move || status(&sharing, &ring, pid))?;

    let advertise = args.advertise.unwrap_or_else(|| control.local_ip());
    let mut aside = Aside { control: &control, advertise, unprotected: &shared.unprotected };
    let mut producer = Producer(&shared.pipeline);
    let ship = || shipper.ship(&shared.pipeline, &shared.progress);
    let recorder = Recorder::new(kernel, &mut producer, Some(&mut aside), sites).with_interceptor(
        &memory,
        super::manner(&args.layer),
        Patches::default(),
    );
    let mut recorder = recorder.shipping(&ship);
    recorder.follow_epoch(&shared.epoch);
    recorder.learn_file_areas(pid)?;
    recorder.hold(held);
    recorder.note(&patch)?;
    let _pinned = super::Pinned::on(cpu);
    super::forward_signals(pid);
    let ended = recorder.run(stopped, 0);
    super::forget_signals();
    if !matches!(ended, Ok(Ending::Ended(_))) {
        // Another thread may have ended the server because this replica ends: then it is not for this one to say why.
        ending::claim();
    }
    let solo = || shared.solo.load(Ordering::SeqCst);
    match ended? {
        Ending::Killed if !solo() => {
            say!("the server was killed; the backup takes over");
            Ok(Exit::Superseded)
        }
        Ending::Killed => {
            shared.ending.store(true, Ordering::SeqCst);
            control.send(&ToProxy::Exit { status: libc::SIGKILL })?;
            Ok(Exit::Server(libc::SIGKILL))
        }
        Ending::Ended(status) => {
            shared.ending.store(true, Ordering::SeqCst);
            shared.pipeline.close();
            // The backup may have been faster, and the pair have ended.
            let _ = sent.send(Event::ServerEnded);
            finished.recv().context("the pair ended before the server's end was settled")?;
            if solo() {
                control.send(&ToProxy::Exit { status })?;
            }
            Ok(Exit::Server(status))
        }
    }
}

fn status(shared: &Shared, memory: &interceptor::shared::Shared, pid: i32) -> serde_json::Value {
    let solo = shared.solo.load(Ordering::SeqCst);
    // In this order: what is acknowledged never shows ahead of the log.
    let replayed = shared.progress.replayed.load(Ordering::SeqCst);
    let acked = shared.progress.received.load(Ordering::SeqCst);
    let lsn = shared.pipeline.end();
    let lag = shared.progress.lag_ms(lsn, super::monotonic_ns());
    json!({
        "role": if solo { "solo" } else { "primary" },
        "ftrun_pid": std::process::id(), "server_pid": pid, "epoch": shared.epoch.load(Ordering::SeqCst),
        "sent_bytes": shared.progress.sent.load(Ordering::SeqCst), "stored_bytes": shared.progress.stored.load(Ordering::SeqCst),
        "lsn": lsn.0, "acked_lsn": acked, "replayed_lsn": replayed, "lag_ms": if solo { 0 } else { lag },
        "fast_calls": memory.calls(), "ring_waits": memory.waits(),
        "unprotected": super::listed(&shared.unprotected),
    })
}

//! From replay to service: the process gets real objects, the proxy its new address, the connections their sockets.

mod courier;
mod mappings;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::ids::{ConnId, Epoch, ReplicaId};
use common::kernel::Kernel;
use common::orders::{Carried, RESUME_HEADER_LEN, ResumeHeader, ToProxy, ToReplica};
use common::record::SegmentRole;
use thiserror::Error;
use tracer::control::{ControlError, ProxyControl};
use tracer::files::FileAreas;
use tracer::inject::{Held, InjectError, Session};
use tracer::instructions::Sites;
use tracer::interceptor::patches::Patches;
use tracer::interceptor::shared::Shared;
use tracer::signals::{self, Delivering};
use tracer::tracee::{Registers, Stopped, TraceeError};

use crate::driver::Point;
use crate::golive::{self, GoLiveError, Report, Resumed};
use crate::retained::Retained;

/// How long the proxy may take to bring the connections back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a replica could not go live.
#[derive(Debug, Error)]
pub enum LiveError {
    /// Objects could not be made.
    #[error(transparent)]
    GoLive(#[from] GoLiveError),
    /// The proxy cannot be told.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The place where connections are resumed cannot be opened.
    #[error("cannot listen on {address} for the proxy's connections: {error}")]
    Listen {
        /// Where.
        address: IpAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The proxy knows a higher epoch.
    #[error("the proxy takes orders from epoch {0} already")]
    Superseded(Epoch),
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// A call inside of it failed.
    #[error(transparent)]
    Inject(#[from] InjectError),
}

/// Who goes live, and where.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The epoch that was won.
    pub epoch: Epoch,
    /// By whom.
    pub replica: ReplicaId,
    /// This machine as the proxy reaches it.
    pub advertise: IpAddr,
}

/// A server that serves again.
#[derive(Debug)]
pub struct Living {
    /// Its process.
    pub stopped: Stopped,
    /// The signal to resume it with.
    pub signal: i32,
    /// The call from which it returns, with the registers there.
    pub returned_from: Option<(Registers, u64)>,
    /// Its kernel state.
    pub kernel: Kernel,
    /// Patched instructions.
    pub sites: Sites,
    /// Sites that go to the interceptor.
    pub patches: Patches,
    /// What it shares with its interceptor.
    pub shared: Arc<Shared>,
    /// Memory that holds what a file held, and is not mapped from it.
    pub file_areas: FileAreas,
    /// Signals that came meanwhile.
    pub held: Vec<Held>,
    /// What was done.
    pub report: Report,
}

/// Makes the process at `point` live. Its CLOCK_MONOTONIC is this machine's and `clock_offset`, in nanoseconds.
///
/// # Errors
/// When it cannot. The replica is lost then.
pub fn go_live(
    point: Point,
    proxy: Option<&ProxyControl>,
    retained: &Retained,
    identity: Identity,
    clock_offset: i64,
) -> Result<Living, LiveError> {
    let Point {
        stopped,
        registers,
        deliver,
        returned_from,
        mut kernel,
        sites,
        patches,
        shared,
        mut file_areas,
        mapped,
        ..
    } = point;
    kernel.lose_children();
    let mut sockets = Resumed::prepare(&kernel, identity.advertise)?;
    if let Some(proxy) = proxy {
        take_over(&kernel, proxy, retained, identity, Some(&mut sockets))?;
    }
    // Signals that come from here on, those that are raised again among them, wait until the server runs.
    let mask = stopped.signal_mask()?;
    stopped.set_signal_mask(u64::MAX)?;
    let session = Session::begin(stopped, registers);
    let session = mappings::close(session, &mapped)?;
    let mut server = courier::Courier::open(session, &kernel)?;
    let copies = mappings::restore(&mut server, &mut file_areas, &mapped)?;
    let mut report = golive::revive(&kernel, &mut server, &mut sockets, golive::Clock::ahead_by(clock_offset))?;
    report.losses.extend(copies);
    let (stopped, held) = server.close()?.end()?;
    stopped.set_signal_mask(mask)?;
    let (stopped, signal) = match deliver {
        Some(record) => {
            let pid = stopped.pid();
            let info = record.bytes_of(SegmentRole::SigInfo).and_then(|b| b.try_into().ok()).unwrap_or([0; 128]);
            match signals::force(stopped, &registers, &record, &info, false)? {
                Delivering::Before(stopped, signal) => (stopped, signal),
                Delivering::Inside(stopped) => (stopped, 0),
                Delivering::Failed(event) => {
                    let expected = "a process before the delivery of a signal";
                    return Err(TraceeError::Unexpected { pid, expected, found: event.name() }.into());
                }
            }
        }
        None => (stopped, 0),
    };
    let returned_from = returned_from.filter(|_| signal == 0).map(|number| (registers, number));
    Ok(Living { stopped, signal, returned_from, kernel, sites, patches, shared, file_areas, held, report })
}

/// Tells the proxy who acts now and brings its connections here. Connections that the server has closed get what is left of
/// their output.
///
/// # Errors
/// When the proxy cannot be told or follows a higher epoch.
pub fn take_over(
    kernel: &Kernel,
    proxy: &ProxyControl,
    retained: &Retained,
    identity: Identity,
    mut sockets: Option<&mut Resumed>,
) -> Result<(), LiveError> {
    let failed = |error| LiveError::Listen { address: identity.advertise, error };
    let listener = TcpListener::bind((identity.advertise, 0)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let resume = listener.local_addr().map_err(failed)?;
    let mut carried = Vec::new();
    // What each connection is sent is settled together with where it begins: the proxy may go on to say what it has received.
    let mut awaited = BTreeMap::new();
    for progress in kernel.connections().iter() {
        if progress.closed && retained.has_received(progress.conn, progress.produced) {
            continue;
        }
        let (start, rest) = retained.rest(progress.conn);
        // A connection that the proxy has all of has nothing kept: it goes on where it stands.
        let output_from = if rest.is_empty() { progress.produced } else { start };
        carried.push(Carried { progress, output_from });
        awaited.insert(progress.conn, Awaited { closed: progress.closed, rest });
    }
    let listeners = sockets.as_ref().map(|s| s.listeners()).unwrap_or_default();
    let message = ToProxy::Takeover { epoch: identity.epoch, replica: identity.replica, resume, listeners, carried };
    match proxy.ask(&message, "Takeover")? {
        ToReplica::TakenOver { gone } => {
            let gone: BTreeSet<ConnId> = gone.into_iter().collect();
            awaited.retain(|conn, _| !gone.contains(conn));
        }
        other => {
            tracer::say!("the proxy answers a takeover with {other:?}");
            return Err(LiveError::Superseded(identity.epoch));
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while !awaited.is_empty() && Instant::now() < deadline {
        let Ok((stream, _)) = listener.accept() else {
            wait_readable(&listener, deadline);
            continue;
        };
        let Some((conn, stream)) = greet(stream, identity.epoch, &awaited) else { continue };
        if let Some(Awaited { closed: false, .. }) = awaited.remove(&conn)
            && let Some(sockets) = &mut sockets
        {
            sockets.insert(conn, stream.into());
        }
    }
    for conn in awaited.keys() {
        tracer::say!("the proxy did not bring connection {conn} back: its client is taken for gone");
    }
    Ok(())
}

fn wait_readable(listener: &TcpListener, deadline: Instant) {
    use std::os::fd::AsFd;
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = nix::poll::PollTimeout::try_from(left).unwrap_or(nix::poll::PollTimeout::ZERO);
    let mut fds = [nix::poll::PollFd::new(listener.as_fd(), nix::poll::PollFlags::POLLIN)];
    // Whatever it says, accept is tried again.
    let _ = nix::poll::poll(&mut fds, timeout);
}

/// A connection that the proxy is to bring back.
struct Awaited {
    closed: bool,
    /// The output that it is sent first.
    rest: Vec<u8>,
}

/// Reads the header of a resumed connection and sends what the proxy may lack.
fn greet(mut stream: TcpStream, epoch: Epoch, awaited: &BTreeMap<ConnId, Awaited>) -> Option<(ConnId, TcpStream)> {
    stream.set_nonblocking(false).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let mut raw = [0; RESUME_HEADER_LEN];
    stream.read_exact(&mut raw).ok()?;
    let header = ResumeHeader::decode(&raw).filter(|header| header.epoch == epoch)?;
    stream.write_all(&awaited.get(&header.conn)?.rest).ok()?;
    stream.set_read_timeout(None).ok()?;
    stream.set_write_timeout(None).ok()?;
    // The server has set its own options, or has not.
    stream.set_nodelay(false).ok()?;
    Some((header.conn, stream))
}

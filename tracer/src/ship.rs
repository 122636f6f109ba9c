//! The primary's end of the pair: hands the snapshot over, ships the log, hears acknowledgements.

use std::io::BufReader;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use common::ids::Lsn;
use common::log::sealer::Sealer;
use common::pair::address::PeerAddress;
use common::pair::channel::{self, ChannelError};
use common::pair::message::{Hello, ToBackup, ToPrimary};
use common::pair::state::Event;
use common::snapshot::{ContentSource, Manifest, SnapshotError, StoreError};
use socket2::Socket;
use thiserror::Error;

use crate::peer::{self, Reader};
use crate::pipeline::Pipeline;

/// How long records may wait that no client waits for.
pub const PATIENCE_OF_INPUT: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(10);
/// A backup may take longer to read a large snapshot and to restore it.
const RESTORE_PATIENCE: Duration = Duration::from_secs(120);

/// Why no backup could be brought into step.
#[derive(Debug, Error)]
pub enum SyncError {
    /// It cannot be reached.
    #[error(
        "the backup at {address} cannot be reached: {error}; start it first, with ftrun --backup --listen {address}"
    )]
    Connect {
        /// Where.
        address: PeerAddress,
        /// Why.
        error: std::io::Error,
    },
    /// It does not want to.
    #[error("the backup refuses: {0}")]
    Refused(String),
    /// It cannot be brought into step.
    #[error("the backup failed: {0}")]
    Failed(String),
    /// The channel failed.
    #[error("the backup was lost before it was in step: {0}; it says why itself")]
    Channel(#[from] ChannelError),
    /// It says something else.
    #[error("the backup: expected {expected}, found {found}")]
    Unexpected {
        /// What should have come.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// The snapshot cannot be sent.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A content is not there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SyncError {
    /// For an answer other than the expected one.
    fn other(expected: &'static str, found: ToPrimary) -> Self {
        match found {
            ToPrimary::Refuse { reason } => Self::Refused(reason),
            ToPrimary::Failed { reason } => Self::Failed(reason),
            other => Self::Unexpected { expected, found: format!("{other:?}") },
        }
    }
}

/// A channel to a backup that accepted.
#[derive(Debug)]
pub struct Channel {
    stream: Socket,
    /// Where it takes heartbeats beside the channel.
    pub heartbeats: SocketAddr,
}

impl Channel {
    /// Connects and greets.
    ///
    /// # Errors
    /// When there is no backup or it refuses.
    pub fn open(address: &PeerAddress, hello: Hello) -> Result<Self, SyncError> {
        let failed = |error| SyncError::Connect { address: address.clone(), error };
        let mut stream = peer::connect(address, PATIENCE).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        std::io::Write::write_all(&mut stream, &channel::preamble()).map_err(failed)?;
        channel::read_preamble(&mut stream)?;
        channel::write_message(&mut stream, &ToBackup::Hello(Box::new(hello)))?;
        match channel::read_from_backup(&mut stream)? {
            ToPrimary::Accept { heartbeat_port, .. } => {
                let heartbeats = SocketAddr::new(peer::host(stream.peer_addr().ok()), heartbeat_port);
                Ok(Self { stream, heartbeats })
            }
            other => Err(SyncError::other("Accept", other)),
        }
    }

    /// Hands the snapshot over and waits until it is restored. `started` is called right before the backup may take over.
    ///
    /// # Errors
    /// When the backup cannot take it.
    pub fn sync(
        &mut self,
        manifest: &Manifest,
        contents: &dyn ContentSource,
        started: impl FnOnce(),
    ) -> Result<(), SyncError> {
        let stream = &mut self.stream;
        stream.set_read_timeout(Some(RESTORE_PATIENCE)).map_err(ChannelError::from)?;
        channel::write_message(stream, &ToBackup::Manifest(manifest.encode()?))?;
        let wanted = match channel::read_from_backup(stream)? {
            ToPrimary::Want { hashes } => hashes,
            other => return Err(SyncError::other("Want", other)),
        };
        for hash in wanted {
            let bytes = contents
                .get(&hash)?
                .ok_or(SyncError::Unexpected { expected: "the name of a content", found: hash.to_string() })?;
            if let Err(error) = channel::write_message(stream, &ToBackup::Chunk { hash, bytes }) {
                // What it said before it closed the channel is why.
                return Err(channel::read_from_backup(stream)
                    .map_or_else(|_| error.into(), |said| SyncError::other("Restored", said)));
            }
        }
        started();
        channel::write_message(stream, &ToBackup::Start)?;
        loop {
            match channel::read_from_backup(stream)? {
                ToPrimary::Restored => break,
                ToPrimary::Heartbeat => {}
                other => return Err(SyncError::other("Restored", other)),
            }
        }
        stream.set_read_timeout(None).map_err(ChannelError::from)?;
        Ok(())
    }

    /// The parts that ship the log.
    ///
    /// # Errors
    /// When the socket cannot be shared.
    pub fn into_link(self) -> std::io::Result<(Link, Socket)> {
        let reader = self.stream.try_clone()?;
        Ok((Link { stream: Arc::new(Mutex::new(self.stream)), closer: Arc::new(reader.try_clone()?) }, reader))
    }
}

/// How far the backup is.
#[derive(Debug, Default)]
pub struct Progress {
    /// It holds the log up to here.
    pub received: AtomicU64,
    /// It has executed the log up to here.
    pub replayed: AtomicU64,
    /// Bytes of records that were sent to it.
    pub sent: AtomicU64,
    /// Bytes of the frames that they were sent in, compressed or not.
    pub stored: AtomicU64,
    /// When it had last executed all that there was, on the clock that [`hear`] is given, in nanoseconds.
    caught_up: AtomicU64,
}

impl Progress {
    /// For how long it has been behind a log that ends at `end`, in milliseconds.
    #[must_use]
    pub fn lag_ms(&self, end: Lsn, now: u64) -> u64 {
        if self.replayed.load(Ordering::SeqCst) >= end.0 {
            return 0;
        }
        now.saturating_sub(self.caught_up.load(Ordering::SeqCst)) / 1_000_000
    }
}

/// The sending half of the channel.
#[derive(Debug, Clone)]
pub struct Link {
    stream: Arc<Mutex<Socket>>,
    closer: Arc<Socket>,
}

impl Link {
    /// Says that the primary lives, unless frames are being sent at this moment, which say the same.
    pub fn heartbeat(&self, pipeline: &Pipeline, time: u64) {
        let mut stream = match self.stream.try_lock() {
            Ok(stream) => stream,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        // A failed channel is noticed by its reader.
        let _ = channel::write_message(&mut *stream, &ToBackup::Heartbeat { lsn: pipeline.end(), time });
    }

    /// Ends the channel; a send that waits for the backup fails.
    pub fn close(&self) {
        // It may be closed already.
        let _ = self.closer.shutdown(Shutdown::Both);
    }

    /// Sends one sealed frame.
    ///
    /// # Errors
    /// When the channel failed.
    pub fn send(&self, sealed: &[u8]) -> Result<(), ChannelError> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        channel::write_frame(&mut *stream, sealed)
    }
}

/// Ships the log. Two threads do: the one that takes the interceptor's records from the ring ships them itself, a thread of its
/// own the tracer's, which must not be kept from tracing by a slow channel.
#[derive(Debug)]
pub struct Shipper {
    link: Link,
    clock: fn() -> u64,
    /// Who takes a batch sends it before the next is taken.
    sealer: Mutex<Sealer>,
    /// The channel has failed.
    lost: AtomicBool,
}

impl Shipper {
    /// For frames that get the time of this clock, in nanoseconds.
    #[must_use]
    pub fn new(link: Link, sealer: Sealer, clock: fn() -> u64) -> Self {
        Self { link, clock, sealer: Mutex::new(sealer), lost: AtomicBool::new(false) }
    }

    /// Whether the channel has failed: nothing more reaches this backup. Its output is released by nobody until the primary has
    /// won an epoch; until then the server goes on, and what it logs is not needed by anyone who could still take over.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Ships until the log is closed.
    pub fn run(&self, pipeline: &Pipeline, progress: &Progress) {
        while !pipeline.wait(PATIENCE_OF_INPUT) {
            self.ship(pipeline, progress);
        }
        self.ship(pipeline, progress);
    }

    /// Ships what is there. When no frame can be made of it, which is a defect, the pipeline fails.
    pub fn ship(&self, pipeline: &Pipeline, progress: &Progress) {
        let mut sealer = self.sealer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(batch) = pipeline.take_now().filter(|batch| !batch.bytes.is_empty() && !self.is_lost()) else {
            return;
        };
        match sealer.seal(batch.first, (self.clock)(), &batch.bytes) {
            Ok(sealed) if self.link.send(sealed).is_ok() => {
                progress.sent.fetch_add(batch.bytes.len() as u64, Ordering::SeqCst);
                progress.stored.fetch_add(sealed.len() as u64, Ordering::SeqCst);
            }
            Ok(_) => self.lost.store(true, Ordering::SeqCst),
            Err(error) => pipeline.fail(error.to_string()),
        }
    }
}

/// Hears the backup until the channel ends. For a thread of its own.
pub fn hear(stream: Socket, progress: &Progress, pipeline: &Pipeline, clock: fn() -> u64, events: &Sender<Event>) {
    let mut stream = BufReader::new(Reader(stream));
    let event = loop {
        match channel::read_from_backup(&mut stream) {
            Ok(ToPrimary::Ack { received, replayed }) => {
                progress.received.fetch_max(received.0, Ordering::SeqCst);
                progress.replayed.fetch_max(replayed.0, Ordering::SeqCst);
                pipeline.replayed(replayed);
                if replayed >= pipeline.end() {
                    progress.caught_up.store(clock(), Ordering::SeqCst);
                }
            }
            Ok(ToPrimary::Diverged { lsn, report }) => {
                crate::say!("the backup diverged at LSN {lsn} and ends:\n{report}");
                break Event::PeerEnded;
            }
            Ok(ToPrimary::Ended { .. }) => {
                // It has executed the End record, perhaps before this replica's own main thread comes to say so.
                let _ = events.send(Event::ServerEnded);
                break Event::PeerEnded;
            }
            Ok(_) => {}
            Err(_) => break Event::ChannelClosed,
        }
        if events.send(Event::HeartbeatHeard).is_err() {
            return;
        }
    };
    // Nobody listens any more when the replica ends.
    let _ = events.send(event);
}

//! Control messages of the pair.
//!
//! The primary opens the channel. Both ends send the preamble; then:
//!
//! ```text
//! primary                                   backup
//!   Hello                              ->
//!                                      <-   Accept, or Refuse and the end
//!   Manifest                           ->
//!                                      <-   Want, with what it lacks; nothing lacking is said too
//!   Chunk, one for each wanted         ->
//!   Start                              ->
//!                                      <-   Restored: from here on the backup is in step and may take over;
//!                                           or, from Accept on, Failed and the end
//!   frames, Heartbeat                  ->
//!                                      <-   Ack, Heartbeat
//!                                      <-   Ended after the server's End record, or Diverged and the end
//! ```
//!
//! From `Start` on the primary goes on alone only by a won epoch, whether it has seen `Restored` or not.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::cpu::CpuFeatures;
use crate::ids::{Epoch, Lsn, ReplicaId};
use crate::snapshot::ContentHash;

/// What both replicas must agree on; the primary's count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairSettings {
    /// The control address of the proxy; without one the server's output needs no release (it has no TCP clients).
    pub proxy_control: Option<SocketAddr>,
    /// The arbiter, as [`crate::arbiter::ArbiterSpec`] reads it.
    pub arbiter: String,
    /// Milliseconds between two heartbeats.
    pub heartbeat_ms: u64,
    /// Milliseconds without a heartbeat after which a replica asks the arbiter.
    pub timeout_ms: u64,
}

/// First message of the primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Names the log.
    pub log_id: u64,
    /// The epoch that the primary acts in.
    pub epoch: Epoch,
    /// Who it is: the holder of `epoch` at the arbiter.
    pub replica: ReplicaId,
    /// The version of ftrun, as a user reads it; a backup of another one refuses.
    pub version: String,
    /// What the server may have seen of the processor.
    pub cpu: CpuFeatures,
    /// What both must agree on.
    pub settings: PairSettings,
}

/// From the primary to the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToBackup {
    /// First message.
    Hello(Box<Hello>),
    /// The snapshot's manifest, encoded as on disk.
    Manifest(#[serde(with = "crate::raw")] Vec<u8>),
    /// One content that was wanted.
    Chunk {
        /// Its name.
        hash: ContentHash,
        /// The content.
        #[serde(with = "crate::raw")]
        bytes: Vec<u8>,
    },
    /// All contents are sent: restore.
    Start,
    /// The primary lives.
    Heartbeat {
        /// Nothing happened up to here that is not in the frames before: where its log stands.
        lsn: Lsn,
        /// Its CLOCK_MONOTONIC in nanoseconds.
        time: u64,
    },
}

/// From the backup to the primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToPrimary {
    /// Answer to Hello.
    Accept {
        /// Who the backup is.
        replica: ReplicaId,
        /// The UDP port where it takes heartbeats beside the channel, at the address that the channel leads to.
        heartbeat_port: u16,
    },
    /// Answer to Hello: it cannot be this primary's backup.
    Refuse {
        /// Why, as a user reads it.
        reason: String,
    },
    /// It wanted to, and could not be brought into step; the end.
    Failed {
        /// Why, as a user reads it.
        reason: String,
    },
    /// Answer to Manifest: the contents that it lacks.
    Want {
        /// Their names.
        hashes: Vec<ContentHash>,
    },
    /// The snapshot is restored: the backup is in step.
    Restored,
    /// How far it is. Sent only while it may acknowledge.
    Ack {
        /// It holds the log up to here.
        received: Lsn,
        /// It has executed the log up to here.
        replayed: Lsn,
    },
    /// Its execution differs from the log: it stops acknowledging and ends.
    Diverged {
        /// The record where it differs.
        lsn: Lsn,
        /// Call, expected, found, registers, last records: as a user reads it.
        report: String,
    },
    /// The backup lives.
    Heartbeat,
    /// It has executed the End record and released everything.
    Ended {
        /// The server's wait status, as of waitpid(2).
        status: i32,
    },
}

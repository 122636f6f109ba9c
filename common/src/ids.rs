//! Newtypes for the identifiers that cross crate borders.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A byte offset in the log. The log is one stream of records; an acknowledgement is an `Lsn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The offset `bytes` further on.
    #[must_use]
    pub fn advance(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The right to act for the service, won at the arbiter by a test-and-set. Never reused; a higher one supersedes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Names one replica for the arbiter and the proxy: chosen at random when the replica starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One client connection between proxy and server.
///
/// `peer` is the address that the server's `accept` showed: the proxy's end of its connection to the server. Because a
/// kernel may hand out the same port again after a failover, the epoch in which the connection was made belongs to the
/// name. Within an epoch the proxy does not use a port again before the replicas are done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnId {
    /// The epoch in which the server accepted the connection.
    pub epoch: Epoch,
    /// The proxy's end, as seen by the server.
    pub peer: SocketAddr,
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.peer, self.epoch)
    }
}

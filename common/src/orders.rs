//! What replicas and the proxy say to each other.
//!
//! A replica connects to the proxy's control address and sends the [`preamble`], then messages of type [`ToProxy`]; the proxy
//! answers with [`ToReplica`]. Both are length-prefixed by [`crate::codec`].
//!
//! **Output rule.** While a pair is in step the proxy takes release orders from the backup alone; after a failover from the
//! replica that went solo. A message of an epoch below the highest one that the proxy has seen from [`ToProxy::Hello`] or
//! [`ToProxy::Takeover`] is ignored, and its sender is told so ([`ToReplica::Superseded`]).
//!
//! **Offsets.** `consumed` counts the bytes of a connection that the server has read, `produced` those that it has written,
//! both since the connection was accepted and across failovers.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ids::{ConnId, Epoch, ReplicaId};
use crate::kernel::address;

/// First bytes on the control connection, outside of any encoding, so that a stranger is recognised.
pub const CONTROL_MAGIC: [u8; 8] = *b"FTRUNCTL";
/// First bytes on a connection that the proxy opens to resume a client connection at a new primary.
pub const RESUME_MAGIC: [u8; 8] = *b"FTRUNRES";
/// Version of these messages. Raised with every change of a type in this module.
pub const CONTROL_VERSION: u32 = 3;

/// Sent once by both ends of a control connection, as 8 bytes magic and a little-endian `u32` version, before any message.
#[must_use]
pub fn preamble() -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&CONTROL_MAGIC);
    bytes[8..].copy_from_slice(&CONTROL_VERSION.to_le_bytes());
    bytes
}

/// The part a replica plays when it greets the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Runs the server; opens listeners. Does not release output.
    Primary,
    /// Holds the log; releases output.
    Backup,
    /// Runs the server without a backup, by a won epoch: output needs no release.
    Solo,
}

/// Progress of one connection up to an acknowledged point of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which connection.
    pub conn: ConnId,
    /// Bytes the server has read.
    pub consumed: u64,
    /// Bytes the server has written: those below this offset may go to the client.
    pub produced: u64,
    /// The server sends no more (shutdown for writing, or closed): after `produced` bytes the client gets the end of stream.
    pub finished: bool,
    /// The server closed its last descriptor: it will read no more either.
    pub closed: bool,
    /// It closed so that the connection is reset (SO_LINGER with no time, socket(7)): after `produced` bytes the client gets a
    /// reset, unless it has been told the end before.
    pub reset: bool,
}

/// One connection that a new primary carries on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Where it stands at the end of the log.
    pub progress: Progress,
    /// The new primary will send the output from this offset on (at most what the proxy has said it received).
    pub output_from: u64,
}

/// A listening socket of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListenerId(pub u64);

/// Where a listener of the server really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Names it, the same for all replicas and epochs.
    pub id: ListenerId,
    /// What the server asked for (port 0 resolved): what clients connect to.
    #[serde(with = "address::whole")]
    pub asked: SocketAddr,
    /// Where it was moved: what the proxy connects to.
    #[serde(with = "address::whole")]
    pub real: SocketAddr,
}

/// From a replica to the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToProxy {
    /// First message on a connection.
    Hello {
        /// Whose epoch the sender acts in.
        epoch: Epoch,
        /// Who it is.
        replica: ReplicaId,
        /// In which part.
        role: Role,
    },
    /// The server binds a TCP address: the proxy binds it for clients and answers [`ToReplica::Bound`]. Primary or solo.
    Bind {
        /// Echoed in the answer.
        id: ListenerId,
        /// What the server asked for; port 0 lets the proxy choose.
        #[serde(with = "address::whole")]
        asked: SocketAddr,
        /// Whether the server set SO_REUSEADDR.
        reuse_addr: bool,
        /// Whether the server set IPV6_V6ONLY: else an IPv6 wildcard takes the IPv4 port too.
        v6_only: bool,
    },
    /// The server listens: the proxy begins to accept clients and connects them to `real`. Answered by
    /// [`ToReplica::Listening`]. Primary or solo.
    Listen {
        /// The listener, bound before.
        listener: Listener,
        /// The backlog that the server asked for.
        backlog: i32,
    },
    /// The server closed a listener (or a socket that was only bound): the proxy stops accepting there.
    Unlisten {
        /// Which.
        id: ListenerId,
    },
    /// The log up to a further point is held by the sender. Backup only.
    Release {
        /// The connections that moved since the last order.
        progress: Vec<Progress>,
    },
    /// The sender won `epoch` and runs the server from now on, from the end of the log; `resume` is where it waits for the
    /// connections of `carried`. For each the proxy connects there, sends [`ResumeHeader`], takes output from
    /// `output_from` on, and sends input from `consumed` on. Connections that the proxy knows and that are not listed were never
    /// accepted: they are connected anew to the listener, with all their input. Answered by [`ToReplica::TakenOver`].
    Takeover {
        /// The epoch that was won.
        epoch: Epoch,
        /// Who won it.
        replica: ReplicaId,
        /// Address of the new primary where connections are resumed.
        #[serde(with = "address::whole")]
        resume: SocketAddr,
        /// The listeners at their new places.
        listeners: Vec<Listener>,
        /// The connections that the server holds, or has closed with output that the proxy has not received.
        carried: Vec<Carried>,
    },
    /// The server has ended by itself and everything is released: flush to the clients, then end with this status.
    Exit {
        /// The wait status of the server, as of waitpid(2).
        status: i32,
    },
}

/// From the proxy to a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToReplica {
    /// Answer to Hello.
    Welcome {
        /// The proxy's process.
        pid: u32,
        /// The address of this control connection as the replica appears to the proxy: where it can be reached.
        #[serde(with = "address::whole")]
        seen_as: SocketAddr,
    },
    /// Answer to Bind.
    Bound {
        /// Which.
        id: ListenerId,
        /// The address that clients use, with the port resolved; or an errno value such as EADDRINUSE.
        #[serde(with = "address::whole_outcome")]
        outcome: Result<SocketAddr, i32>,
    },
    /// Answer to Listen.
    Listening {
        /// Which.
        id: ListenerId,
        /// Nothing, or an errno value.
        outcome: Result<(), i32>,
    },
    /// Output received so far (not necessarily passed on): what the replicas need not keep any more. To the backup.
    Received {
        /// Offsets by connection, those that moved.
        offsets: Vec<(ConnId, u64)>,
    },
    /// Answer to Takeover: every other carried connection has been or is being resumed.
    TakenOver {
        /// Connections whose client is gone: nobody will resume them.
        gone: Vec<ConnId>,
    },
    /// The sender's epoch is over.
    Superseded {
        /// The epoch in force.
        epoch: Epoch,
    },
}

/// Length of an encoded [`ResumeHeader`].
pub const RESUME_HEADER_LEN: usize = 8 + 8 + 4 + 8 + 1 + 16 + 2;

/// First bytes of a connection that the proxy resumes at a new primary: fixed size, so that nothing behind it is read.
///
/// Layout: magic (8), epoch now (8), version (4), then the connection: epoch (8), address family 4 or 6 (1), address (16, an IPv4
/// address in its first 4), port (2). Little endian, the port too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeHeader {
    /// The epoch of the takeover.
    pub epoch: Epoch,
    /// The connection that goes on here.
    pub conn: ConnId,
}

impl ResumeHeader {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; RESUME_HEADER_LEN] {
        let mut out = [0; RESUME_HEADER_LEN];
        out[..8].copy_from_slice(&RESUME_MAGIC);
        out[8..16].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[16..20].copy_from_slice(&CONTROL_VERSION.to_le_bytes());
        out[20..28].copy_from_slice(&self.conn.epoch.0.to_le_bytes());
        match self.conn.peer {
            SocketAddr::V4(peer) => {
                out[28] = 4;
                out[29..33].copy_from_slice(&peer.ip().octets());
            }
            SocketAddr::V6(peer) => {
                out[28] = 6;
                out[29..45].copy_from_slice(&peer.ip().octets());
            }
        }
        out[45..47].copy_from_slice(&self.conn.peer.port().to_le_bytes());
        out
    }

    /// Reads one; `None` when it is no such header or of another version.
    #[must_use]
    pub fn decode(bytes: &[u8; RESUME_HEADER_LEN]) -> Option<Self> {
        let number = |at: usize| -> Option<u64> { Some(u64::from_le_bytes(bytes[at..at + 8].try_into().ok()?)) };
        if bytes[..8] != RESUME_MAGIC || bytes[16..20] != CONTROL_VERSION.to_le_bytes() {
            return None;
        }
        let port = u16::from_le_bytes([bytes[45], bytes[46]]);
        let peer = match bytes[28] {
            4 => SocketAddr::from((<[u8; 4]>::try_from(&bytes[29..33]).ok()?, port)),
            6 => SocketAddr::from((<[u8; 16]>::try_from(&bytes[29..45]).ok()?, port)),
            _ => return None,
        };
        let header = Self { epoch: Epoch(number(8)?), conn: ConnId { epoch: Epoch(number(20)?), peer } };
        // Behind a short address stand zeros.
        (header.encode() == *bytes).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn a_resume_header_survives_the_round_trip() {
        for peer in ["10.1.2.3:4567", "[fe80::1]:80"] {
            let header =
                ResumeHeader { epoch: Epoch(3), conn: ConnId { epoch: Epoch(2), peer: peer.parse().unwrap() } };
            assert_eq!(ResumeHeader::decode(&header.encode()), Some(header));
        }
    }

    #[test]
    fn the_scope_of_an_address_is_told() {
        let scoped: SocketAddr = "[fe80::1%3]:80".parse().unwrap();
        let bind = ToProxy::Bind { id: ListenerId(1), asked: scoped, reuse_addr: true, v6_only: false };
        let bytes = codec::encode(&bind).unwrap();
        assert_eq!(codec::decode::<ToProxy>(&bytes).unwrap(), bind);
        let listener = Listener { id: ListenerId(1), asked: scoped, real: "10.0.0.1:80".parse().unwrap() };
        assert_eq!(codec::decode::<Listener>(&codec::encode(&listener).unwrap()).unwrap(), listener);
        for outcome in [Ok(scoped), Err(98)] {
            let bound = ToReplica::Bound { id: ListenerId(1), outcome };
            assert_eq!(codec::decode::<ToReplica>(&codec::encode(&bound).unwrap()).unwrap(), bound);
        }
    }

    #[test]
    fn nothing_stands_behind_a_short_address() {
        let peer = "10.1.2.3:4567".parse().unwrap();
        let mut bytes = ResumeHeader { epoch: Epoch(3), conn: ConnId { epoch: Epoch(2), peer } }.encode();
        bytes[44] = 1;
        assert_eq!(ResumeHeader::decode(&bytes), None);
    }
}

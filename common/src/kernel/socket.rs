//! Sockets: what was asked of them, in which state they are, what is queued in socket pairs.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::address;
use super::descriptor::DescriptionId;
use super::path::PathBytes;
use crate::ids::ConnId;
use crate::orders::ListenerId;

/// One setsockopt(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketOption {
    /// SOL_SOCKET, IPPROTO_TCP ...
    pub level: i32,
    /// The option.
    pub name: i32,
    /// Its value as given.
    pub value: Vec<u8>,
}

/// Upper bound of the options of a socket in bytes, above what the kernel allows (net.core.optmem_max). Accepted sockets begin
/// with their listener's: without it a forged log could fill the memory with few records.
pub(super) const MAX_OPTIONS: usize = 1 << 20;

/// The options in the order of their last setting.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Options(pub Vec<SocketOption>);

impl Options {
    /// The value last given.
    #[must_use]
    pub fn get(&self, level: i32, name: i32) -> Option<&[u8]> {
        self.0.iter().rev().find(|o| o.level == level && o.name == name).map(|o| o.value.as_slice())
    }

    /// Whether an integer option was last set to something other than 0.
    #[must_use]
    pub fn is_set(&self, level: i32, name: i32) -> bool {
        self.get(level, name).is_some_and(|value| value.iter().any(|&b| b != 0))
    }

    /// Whether closing resets the connection: struct linger, on (4) and seconds (4), on with none (socket(7), SO_LINGER).
    #[must_use]
    pub fn reset_at_close(&self) -> bool {
        let linger = self.get(libc::SOL_SOCKET, libc::SO_LINGER).and_then(|value| value.first_chunk::<8>());
        linger.is_some_and(|value| value[..4] != [0; 4] && value[4..] == [0; 4])
    }

    /// Bytes that they take.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|option| size_of::<SocketOption>() + option.value.len()).sum()
    }

    pub(super) fn set(&mut self, option: SocketOption) {
        if !accumulates(option.level, option.name) {
            self.0.retain(|old| old.level != option.level || old.name != option.name);
        }
        self.0.push(option);
    }
}

/// Options of which a second one does not replace the first: memberships of multicast groups.
fn accumulates(level: i32, name: i32) -> bool {
    match level {
        libc::IPPROTO_IP => (35..=47).contains(&name),
        libc::IPPROTO_IPV6 => (20..=21).contains(&name) || (42..=48).contains(&name),
        libc::SOL_NETLINK => (1..=2).contains(&name),
        _ => false,
    }
}

/// Directions that shutdown(2) closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shutdown {
    /// Nothing is received any more.
    pub read: bool,
    /// Nothing is sent any more.
    pub write: bool,
}

impl Shutdown {
    pub(super) fn add(&mut self, how: i32) {
        self.read |= how == libc::SHUT_RD || how == libc::SHUT_RDWR;
        self.write |= how == libc::SHUT_WR || how == libc::SHUT_RDWR;
    }
}

/// An address that a TCP socket was bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundTo {
    /// Names the bind for all replicas and the proxy.
    pub id: ListenerId,
    /// What the server asked for, with the port resolved.
    #[serde(with = "address::whole")]
    pub asked: SocketAddr,
}

/// Where a TCP socket stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TcpState {
    /// Neither bound nor connected.
    Fresh,
    /// Bound.
    Bound(BoundTo),
    /// Listening.
    Listening {
        /// Where.
        bound: BoundTo,
        /// As given to listen(2).
        backlog: i32,
    },
    /// Accepted from a listener.
    Accepted(ConnId),
    /// Connected, or being connected, by the server to someone.
    Outgoing {
        /// To whom.
        #[serde(with = "address::whole")]
        remote: SocketAddr,
    },
}

/// A TCP socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tcp {
    /// AF_INET or AF_INET6.
    pub family: i32,
    /// As given to socket(2): 0, IPPROTO_TCP or IPPROTO_MPTCP.
    pub protocol: i32,
    /// Where it stands.
    pub state: TcpState,
    /// The own address of an accepted socket, as the server is to see it.
    #[serde(with = "address::whole_option")]
    pub local: Option<SocketAddr>,
    /// Options; an accepted socket begins with its listener's.
    pub options: Options,
    /// Directions closed.
    pub shutdown: Shutdown,
}

impl Tcp {
    /// The address it is bound to, listening or not.
    #[must_use]
    pub fn bound(&self) -> Option<BoundTo> {
        match self.state {
            TcpState::Bound(bound) | TcpState::Listening { bound, .. } => Some(bound),
            _ => None,
        }
    }
}

/// A UDP socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Udp {
    /// AF_INET or AF_INET6.
    pub family: i32,
    /// As given to socket(2).
    pub protocol: i32,
    /// Own address, when bound.
    #[serde(with = "address::whole_option")]
    pub bound: Option<SocketAddr>,
    /// Default destination, when connected.
    #[serde(with = "address::whole_option")]
    pub connected: Option<SocketAddr>,
    /// Options.
    pub options: Options,
    /// Directions closed.
    pub shutdown: Shutdown,
}

/// Where a UNIX socket stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnixState {
    /// Not connected, not listening.
    Fresh,
    /// Listening.
    Listening {
        /// As given to listen(2).
        backlog: i32,
    },
    /// Accepted from a listener.
    Accepted,
    /// Connected to somebody's socket.
    Connected {
        /// Raw sockaddr_un of the other side.
        remote: Vec<u8>,
    },
}

/// A UNIX socket that is no end of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unix {
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
    pub kind: i32,
    /// Raw sockaddr_un that it is bound to.
    pub bound: Option<Vec<u8>>,
    /// The path that it is bound to, made absolute: `None` when unbound or abstract.
    pub path: Option<PathBytes>,
    /// Where it stands.
    pub state: UnixState,
    /// Options.
    pub options: Options,
    /// Directions closed.
    pub shutdown: Shutdown,
}

/// One end of a socket pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairEnd {
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
    pub kind: i32,
    /// The other end; not open any more once the model does not know it.
    pub peer: DescriptionId,
    /// Sent by the other end and not yet received here.
    pub queue: Queue,
    /// Options.
    pub options: Options,
    /// Directions closed here.
    pub shutdown: Shutdown,
}

/// What waits to be received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Queue {
    /// Bytes without borders.
    Stream(VecDeque<u8>),
    /// Messages.
    Messages(VecDeque<Vec<u8>>),
}

impl Queue {
    pub(super) fn new(kind: i32) -> Self {
        if kind == libc::SOCK_STREAM { Self::Stream(VecDeque::new()) } else { Self::Messages(VecDeque::new()) }
    }

    /// Appends what one message, or one write, sent.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Stream(queue) => queue.extend(bytes),
            Self::Messages(queue) => queue.push_back(bytes.to_vec()),
        }
    }

    /// Nothing of what is in it is known any more.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Stream(queue) => queue.clear(),
            Self::Messages(queue) => queue.clear(),
        }
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Stream(queue) => queue.len(),
            Self::Messages(queue) => queue.iter().map(|message| message.len() + size_of::<Vec<u8>>()).sum(),
        }
    }

    /// Takes what one receive of `bytes` bytes took; false when that much was not there.
    pub(super) fn pop(&mut self, bytes: u64) -> bool {
        match self {
            Self::Stream(queue) => {
                let there = queue.len();
                let taken = usize::try_from(bytes).unwrap_or(usize::MAX);
                queue.drain(..taken.min(there));
                taken <= there
            }
            Self::Messages(queue) => queue.pop_front().is_some() || bytes == 0,
        }
    }
}

/// A netlink socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netlink {
    /// SOCK_RAW or SOCK_DGRAM.
    pub kind: i32,
    /// NETLINK_ROUTE ...
    pub protocol: i32,
    /// Multicast groups of the address that it is bound to; `None` when it is not bound.
    pub bound: Option<u32>,
    /// Whether an answer to a request is still to be received.
    pub awaits: bool,
    /// Options.
    pub options: Options,
}

impl Netlink {
    /// Follows what one receive brought (netlink(7)): an answer of several parts ends with NLMSG_DONE, any other with its one
    /// message.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        const HEADER_LEN: usize = 16;
        /// NLM_F_MULTI and NLMSG_DONE as they stand in a header (netlink(7)).
        const MULTI: u16 = 2;
        const DONE: u16 = 3;
        let mut rest = bytes;
        while rest.len() >= HEADER_LEN {
            let half = |at: usize| u16::from_le_bytes([rest[at], rest[at + 1]]);
            let (kind, flags) = (half(4), half(6));
            if flags & MULTI == 0 || kind == DONE {
                self.awaits = false;
            }
            let len = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
            rest = rest.get(len.max(HEADER_LEN).next_multiple_of(4)..).unwrap_or(&[]);
        }
    }
}

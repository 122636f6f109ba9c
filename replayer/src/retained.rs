//! Output that the server has produced and that the proxy may not have received: what died in the primary's socket buffers
//! is supplied from here after a failover.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::ids::ConnId;

#[derive(Debug, Default)]
struct Kept {
    /// Offset of the first byte kept.
    start: u64,
    /// The proxy has everything below this; it may be ahead of what is replayed.
    received: u64,
    bytes: VecDeque<u8>,
}

impl Kept {
    fn trim(&mut self) {
        let known = usize::try_from(self.received.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let known = known.min(self.bytes.len());
        self.bytes.drain(..known);
        self.start += known as u64;
    }
}

/// The output of all connections.
#[derive(Debug, Default)]
pub struct Retained {
    connections: Mutex<BTreeMap<ConnId, Kept>>,
}

impl Retained {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnId, Kept>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The replayed server has written `bytes` to a connection.
    pub fn produced(&self, conn: ConnId, bytes: &[u8]) {
        let mut connections = self.lock();
        let kept = connections.entry(conn).or_default();
        kept.bytes.extend(bytes);
        kept.trim();
    }

    /// The proxy has received a connection's output below `offset`.
    pub fn received(&self, conn: ConnId, offset: u64) {
        let mut connections = self.lock();
        let kept = connections.entry(conn).or_default();
        kept.received = kept.received.max(offset);
        kept.trim();
    }

    /// What the proxy may lack of a connection: the offset of its first byte, and the bytes.
    #[must_use]
    pub fn rest(&self, conn: ConnId) -> (u64, Vec<u8>) {
        self.lock().get(&conn).map_or((0, Vec::new()), |kept| (kept.start, kept.bytes.iter().copied().collect()))
    }

    /// Whether the proxy has everything below `offset`.
    #[must_use]
    pub fn has_received(&self, conn: ConnId, offset: u64) -> bool {
        self.lock().get(&conn).map_or(offset == 0, |kept| kept.received >= offset)
    }

    /// A connection that is closed and whose output the proxy has.
    pub fn forget(&self, conn: ConnId) {
        self.lock().remove(&conn);
    }

    /// Bytes kept in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().values().map(|kept| kept.bytes.len()).sum()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use common::ids::Epoch;

    use super::*;

    #[test]
    fn what_the_proxy_has_is_not_kept_even_if_it_is_ahead_of_the_replay() {
        let conn = ConnId { epoch: Epoch(1), peer: "127.0.0.1:1".parse().unwrap() };
        let retained = Retained::default();
        retained.received(conn, 5);
        retained.produced(conn, b"abc");
        assert_eq!(retained.rest(conn), (3, Vec::new()));
        retained.produced(conn, b"defgh");
        assert_eq!(retained.rest(conn), (5, b"fgh".to_vec()));
        retained.received(conn, 7);
        assert_eq!(retained.rest(conn), (7, b"h".to_vec()));
    }
}

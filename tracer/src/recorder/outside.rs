//! What the recorder needs from the world outside of the server: the addresses that clients use.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use common::orders::{Listener, ListenerId};

/// Moves the server's TCP listeners aside: clients connect to a proxy at the address that the server asked for.
pub trait Outside {
    /// Reserves the address that the server binds for clients; gives it with the port resolved.
    ///
    /// # Errors
    /// The errno that bind(2) is to give, EADDRINUSE for example.
    fn bind(&mut self, id: ListenerId, asked: SocketAddr, reuse_addr: bool, v6_only: bool) -> Result<SocketAddr, i32>;

    /// This machine as the proxy reaches it: the server's sockets are bound there instead.
    fn machine(&self) -> IpAddr;

    /// Clients are let in.
    ///
    /// # Errors
    /// The errno that listen(2) is to give.
    fn listen(&mut self, listener: Listener, backlog: i32) -> Result<(), i32>;

    /// The server has closed a bound socket.
    fn unlisten(&mut self, id: ListenerId);

    /// The sockets whose output is not held back, whenever they change.
    fn unprotected(&mut self, sockets: &BTreeSet<String>);
}

//! Where clients connect: one listener for each that the server has.
//!
//! SO_REUSEADDR is always set, so that a new proxy can take the port of its predecessor; a port that somebody listens on still
//! gives EADDRINUSE. Clients are accepted whether or not a server is there: without one they wait in the proxy.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Duration;

use common::orders::{Listener, ListenerId};
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, spawn_local};

use crate::duplex::pump;
use crate::log::say;
use crate::shared::Shared;
use crate::stats::Counted;

/// Pause after a failed accept, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Backlog of a listener that a takeover opens again.
const REOPEN_BACKLOG: i32 = 1024;

#[derive(Debug)]
enum Socket {
    Bound(TcpSocket),
    /// The task holds no strong reference: the listener closes when it is dropped from here.
    Accepting(Rc<TcpListener>, JoinHandle<()>),
    /// On its way from bound to accepting, which failed.
    Broken,
}

#[derive(Debug)]
struct Slot {
    at: SocketAddr,
    real: Option<SocketAddr>,
    socket: Socket,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    slots: BTreeMap<ListenerId, Slot>,
    /// Where each listener was bound, and whether for IPv6 only, also after it was closed: a takeover may need it again.
    places: BTreeMap<ListenerId, (SocketAddr, bool)>,
    override_first: Option<SocketAddr>,
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::EIO as i32)
}

fn bound(at: SocketAddr, v6_only: bool) -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if at.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &v6_only)?;
    }
    socket.bind(at)?;
    let at = socket.local_addr()?;
    Ok((socket, at))
}

impl Listening {
    pub(crate) fn new(override_first: Option<SocketAddr>) -> Self {
        Self { override_first, ..Self::default() }
    }

    /// Takes the address for clients. The same listener again, as from a new primary, gets the address that it has.
    ///
    /// # Errors
    /// An errno value.
    pub(crate) fn bind(&mut self, id: ListenerId, asked: SocketAddr, v6_only: bool) -> Result<SocketAddr, i32> {
        if let Some(slot) = self.slots.get(&id) {
            return Ok(slot.at);
        }
        let place = self.places.get(&id).copied();
        let (at, v6_only) = place.unwrap_or((self.override_first.unwrap_or(asked), v6_only));
        let (socket, at) = bound(at, v6_only).map_err(|error| {
            say!("cannot bind {at} for the server's {asked}: {error}");
            errno(&error)
        })?;
        if place.is_none() {
            self.override_first = None;
        }
        self.places.insert(id, (at, v6_only));
        self.slots.insert(id, Slot { at, real: None, socket: Socket::Bound(socket) });
        Ok(at)
    }

    /// Closes a listener; its port is free at once, for an order that comes with the next message.
    pub(crate) fn unlisten(&mut self, id: ListenerId) {
        if let Some(Slot { socket: Socket::Accepting(listener, task), .. }) = self.slots.remove(&id) {
            task.abort();
            drop(listener);
        }
    }

    /// Accepts no more.
    pub(crate) fn close_all(&mut self) {
        for id in self.slots.keys().copied().collect::<Vec<_>>() {
            self.unlisten(id);
        }
    }

    /// Where the server's listener really is, once it listens.
    pub(crate) fn real(&self, id: ListenerId) -> Option<SocketAddr> {
        self.slots.get(&id)?.real
    }

    /// Whether the server has not closed a listener.
    pub(crate) fn is_open(&self, id: ListenerId) -> bool {
        self.slots.contains_key(&id)
    }

    /// Addresses where clients are accepted.
    pub(crate) fn open(&self) -> Vec<SocketAddr> {
        let open = self.slots.values().filter(|slot| matches!(slot.socket, Socket::Accepting(..)));
        open.map(|slot| slot.at).collect()
    }
}

/// Begins to accept clients for a bound listener, or sends those of one that is open to another place.
///
/// # Errors
/// An errno value.
pub(crate) fn listen(shared: &Rc<Shared>, listener: &Listener, backlog: i32) -> Result<(), i32> {
    let mut listening = shared.listening.borrow_mut();
    let Some(slot) = listening.slots.get_mut(&listener.id) else {
        return Err(Errno::EINVAL as i32);
    };
    slot.real = Some(listener.real);
    if matches!(slot.socket, Socket::Accepting(..)) {
        return Ok(());
    }
    if let Socket::Bound(socket) = std::mem::replace(&mut slot.socket, Socket::Broken) {
        // A negative backlog means the largest one to the kernel, 0 a very small one.
        let backlog = u32::try_from(backlog).unwrap_or(u32::MAX >> 1).max(1);
        let open = socket.listen(backlog).map_err(|error| {
            say!("cannot listen on {}: {error}", slot.at);
            errno(&error)
        })?;
        say!("clients of {} connect to {}", listener.asked, slot.at);
        let open = Rc::new(open);
        let task = spawn_local(accept(Rc::clone(shared), listener.id, Rc::downgrade(&open)));
        slot.socket = Socket::Accepting(open, task);
        return Ok(());
    }
    Err(Errno::EADDRINUSE as i32)
}

/// Follows a new primary: its listeners are elsewhere. One that the lost primary closed beyond the log is opened again; one that
/// it opened beyond the log waits for the new primary to do so.
pub(crate) fn move_listeners(shared: &Rc<Shared>, listeners: &[Listener]) {
    for slot in shared.listening.borrow_mut().slots.values_mut() {
        slot.real = None;
    }
    for listener in listeners {
        let reopened = shared.listening.borrow_mut().bind(listener.id, listener.asked, false);
        if let Err(errno) = reopened.map(drop).and_then(|()| listen(shared, listener, REOPEN_BACKLOG)) {
            let error = io::Error::from_raw_os_error(errno);
            say!("the listener for {} cannot be opened again: {error}: its clients are refused", listener.asked);
        }
    }
}

/// The next client; nothing when the listener is closed.
async fn next(listener: &Weak<TcpListener>) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    poll_fn(|context| match listener.upgrade() {
        Some(listener) => listener.poll_accept(context).map(Some),
        None => Poll::Ready(None),
    })
    .await
}

async fn accept(shared: Rc<Shared>, id: ListenerId, listener: Weak<TcpListener>) {
    while let Some(accepted) = next(&listener).await {
        match accepted {
            Ok((client, _)) => {
                // Failing means that the client is gone already; reading it will tell.
                let _ = client.set_nodelay(true);
                let counted = Counted::new(&shared.config.stats);
                let entry = shared.enter(id);
                spawn_local(pump(Rc::clone(&shared), entry, client, counted));
            }
            Err(error) => {
                say!("cannot accept a client: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

//! A line between two processes that a test can hold and cut: a relay of TCP connections.
//!
//! What is held stays in the relay, as on a network that delivers nothing; what is held when the line is cut is lost, as
//! with a machine that dies while its last bytes are on the way.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};

/// Seen from the process that opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    There,
    Back,
}

#[derive(Debug, Default)]
struct State {
    held: [bool; 2],
    cut: bool,
    streams: Vec<TcpStream>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// The relay. Dropping it cuts it.
#[derive(Debug)]
pub(crate) struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Line {
    /// Relays every connection to `target`.
    pub(crate) fn to(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a line")?;
        let line = Self { address: listener.local_addr()?, shared: Arc::default() };
        let shared = Arc::clone(&line.shared);
        thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                if shared.lock().cut || connect(near, target, &shared).is_err() {
                    return;
                }
            }
        });
        Ok(line)
    }

    /// Where to connect instead of to the target.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the return of this call on nothing passes that way.
    pub(crate) fn hold(&self, way: Way) {
        self.shared.change(|state| state.held[way as usize] = true);
    }

    /// Lets everything go that was held, and all that follows.
    pub(crate) fn release(&self, way: Way) {
        self.shared.change(|state| state.held[way as usize] = false);
    }

    /// Ends every connection; what is held is lost.
    pub(crate) fn cut(&self) {
        self.shared.change(|state| {
            state.cut = true;
            for stream in &state.streams {
                // One that has ended already is what is wanted.
                stream.shutdown(Shutdown::Both).ok();
            }
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.cut();
        // The thread that accepts looks when a connection comes.
        TcpStream::connect(self.address).ok();
    }
}

fn connect(near: TcpStream, target: SocketAddr, shared: &Arc<Shared>) -> std::io::Result<()> {
    let far = TcpStream::connect(target)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let streams = [near.try_clone()?, far.try_clone()?];
    shared.change(|state| state.streams.extend(streams));
    let (there, back) = (Arc::clone(shared), Arc::clone(shared));
    let (near_too, far_too) = (near.try_clone()?, far.try_clone()?);
    thread::spawn(move || pass(near, far, Way::There, &there));
    thread::spawn(move || pass(far_too, near_too, Way::Back, &back));
    Ok(())
}

/// Passes bytes on, then the end, each when it may.
fn pass(mut from: TcpStream, mut to: TcpStream, way: Way, shared: &Shared) {
    let mut buffer = vec![0; 65_536];
    loop {
        let read = from.read(&mut buffer);
        let state = shared.lock();
        // Written under the lock: whoever has held the line knows that nothing is on its way any more.
        let held = |state: &mut State| state.held[way as usize] && !state.cut;
        let state = shared.changed.wait_while(state, held).unwrap_or_else(PoisonError::into_inner);
        if state.cut {
            return;
        }
        match read {
            Ok(length @ 1..) if to.write_all(&buffer[..length]).is_ok() => {}
            Ok(0) => {
                to.shutdown(Shutdown::Write).ok();
                return;
            }
            _ => {
                to.shutdown(Shutdown::Both).ok();
                from.shutdown(Shutdown::Both).ok();
                return;
            }
        }
    }
}

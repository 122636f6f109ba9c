//! A relay between clients and a server that does once what a wrong failover would do. It shows that
//! a client's model notices.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result};

/// What goes wrong once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Bytes of the server reach the client twice: deduplication is broken.
    RepeatOutput,
    /// A byte of the server does not reach the client.
    LoseOutput,
    /// Bytes of the client reach the server twice: an operation is done twice.
    RepeatInput,
}

/// Chunks that pass after arming before the fault happens.
const COUNTDOWN: u32 = 40;

/// Chunks up to this size are no request worth repeating: repeated acknowledgements may be legal.
const SMALL: usize = 8;

const UNARMED: u32 = u32::MAX;

/// A running relay; it ends with its connections.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    /// Chunks still to pass; 0 when the fault has happened.
    countdown: Arc<AtomicU32>,
}

impl Relay {
    /// Relays to `server` until the first connection after the relay is gone.
    pub(crate) fn start(server: SocketAddr, fault: Fault) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the relay")?;
        let address = listener.local_addr()?;
        let countdown = Arc::new(AtomicU32::new(UNARMED));
        let shared = Arc::clone(&countdown);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if Arc::strong_count(&shared) == 1 || relay(client, server, fault, &shared).is_err() {
                    return;
                }
            }
        });
        Ok(Self { address, countdown })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the chunks count.
    pub(crate) fn arm(&self) {
        self.countdown.store(COUNTDOWN, Ordering::SeqCst);
    }

    /// Whether the fault has happened.
    pub(crate) fn struck(&self) -> bool {
        self.countdown.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Forget this side's share first: the connection tells the thread to look.
        self.countdown = Arc::new(AtomicU32::new(UNARMED));
        TcpStream::connect(self.address).ok();
    }
}

fn relay(client: TcpStream, server: SocketAddr, fault: Fault, countdown: &Arc<AtomicU32>) -> std::io::Result<()> {
    let server = TcpStream::connect(server)?;
    let (client_too, server_too) = (client.try_clone()?, server.try_clone()?);
    let (input, output) = (Arc::downgrade(countdown), Arc::downgrade(countdown));
    let due = move |countdown: &std::sync::Weak<AtomicU32>, chunk: &[u8]| {
        let Some(countdown) = countdown.upgrade() else {
            return false;
        };
        let count = |left: u32| (left != UNARMED && left > 0).then(|| left - 1);
        chunk.len() > SMALL && countdown.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) == Ok(1)
    };
    thread::spawn(move || {
        copy(client, server, |chunk| {
            if fault == Fault::RepeatInput && due(&input, chunk) {
                chunk.extend_from_within(..);
            }
        })
    });
    thread::spawn(move || {
        copy(server_too, client_too, |chunk| match fault {
            Fault::RepeatOutput if due(&output, chunk) => chunk.extend_from_within(..),
            Fault::LoseOutput if due(&output, chunk) => {
                chunk.remove(0);
            }
            _ => {}
        })
    });
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut Vec<u8>)) {
    let mut buffer = vec![0; 262_144];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let mut chunk = buffer[..length].to_vec();
        change(&mut chunk);
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}

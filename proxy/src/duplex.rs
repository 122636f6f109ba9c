//! Moves the bytes of one client connection: one task with two sockets, driven by [`Connection`].
//!
//! The task reads and writes whatever its sockets take without waiting, then waits for a socket, an order or a deadline. State is
//! borrowed only between two awaits, and the link is compared with the orders before each round: a socket that a takeover made
//! void is not read again.

use std::future::{Future, pending};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;

use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::byte_queue::MAX_SLICES;
use crate::connection::{ClientStep, Connection, ConnectionError, Link, UpstreamStep};
use crate::log::say;
use crate::output::End;
use crate::shared::{Entry, Shared};
use crate::stats::Counted;
use crate::upstream::connect;

/// Rounds after which a busy connection lets others run.
const ROUNDS: u32 = 16;
/// Size of a read whose bytes are compared or dropped.
const DISCARD: usize = 64 << 10;

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

struct Pump {
    shared: Rc<Shared>,
    entry: Rc<Entry>,
    client: Option<(TcpStream, Counted)>,
    upstream: Option<TcpStream>,
    /// The link that `upstream` and `attempt` belong to.
    link_serial: u64,
    attempt: Option<Attempt>,
    /// No attempt before then.
    retry_at: Option<Instant>,
    /// When the server side ended without an explanation.
    unexplained_since: Option<Instant>,
}

/// Serves one client until nothing is left to do.
pub(crate) async fn pump(shared: Rc<Shared>, entry: Rc<Entry>, client: TcpStream, counted: Counted) {
    let mut pump = Pump {
        shared,
        entry,
        client: Some((client, counted)),
        upstream: None,
        link_serial: 0,
        attempt: None,
        retry_at: None,
        unexplained_since: None,
    };
    let mut rounds = 0;
    while !pump.entry.state.borrow().done() {
        pump.follow_link();
        let moved = pump.move_bytes();
        if pump.client_step().await || pump.upstream_step().await {
            continue;
        }
        if !moved {
            rounds = 0;
            pump.wait().await;
        } else if rounds == ROUNDS {
            rounds = 0;
            yield_now().await;
        } else {
            rounds += 1;
        }
    }
    pump.shared.forget(&pump.entry);
}

/// Closes by a reset.
fn reset(socket: TcpStream) {
    // Failing means that the peer has closed it already.
    let _ = socket.set_zero_linger();
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

impl Pump {
    /// Drops a socket that an order made void, and begins to connect where one is wanted.
    fn follow_link(&mut self) {
        let state = self.entry.state.borrow();
        if state.link_serial() != self.link_serial {
            self.link_serial = state.link_serial();
            self.attempt = None;
            self.retry_at = None;
            self.unexplained_since = None;
            if let Some(upstream) = self.upstream.take() {
                reset(upstream);
            }
        }
        if let Link::Wanted(target) = state.link()
            && self.attempt.is_none()
            && self.retry_at.is_none_or(|at| at <= Instant::now())
            && state.client_there()
            && self.shared.authority.borrow().primary_there()
        {
            self.attempt = Some(Box::pin(connect(Rc::clone(&self.shared), Rc::clone(&self.entry), target)));
        }
        if state.link() != Link::Up {
            self.upstream = None;
        }
        if !state.client_there() {
            self.client = None;
        }
    }

    /// One round in both directions; says whether anything moved.
    fn move_bytes(&mut self) -> bool {
        let mut state = self.entry.state.borrow_mut();
        let state = &mut *state;
        let mut moved = false;
        if let Some(upstream) = &self.upstream {
            moved |= state.wants_upstream() && self.read_upstream(upstream, state);
        }
        if let Some((client, _)) = &self.client {
            moved |= state.has_output() && write_client(client, state);
            moved |= state.wants_client() && read_client(client, state);
        }
        if let Some(upstream) = &self.upstream {
            moved |= state.has_input() && write_upstream(upstream, state);
        }
        moved
    }

    fn read_upstream(&self, upstream: &TcpStream, state: &mut Connection) -> bool {
        let overlap = state.output.overlap();
        let read = if overlap > 0 {
            let mut again = vec![0; DISCARD.min(usize::try_from(overlap).unwrap_or(DISCARD))];
            upstream.try_read(&mut again).inspect(|&n| {
                if let Err(error) = state.output.compare(&again[..n]) {
                    state.fail(error.into());
                }
            })
        } else {
            upstream.try_read_buf(state.output.space()).inspect(|_| {
                state.output.arrived();
                self.shared.reports.moved(&self.entry, state.output.received(), self.shared.config.report_bytes);
            })
        };
        match read {
            Ok(0) => state.upstream_ended(End::Eof),
            Ok(_) => {}
            Err(error) if would_block(&error) => return false,
            Err(_) => state.upstream_ended(End::Reset),
        }
        true
    }

    /// What the client's socket needs besides bytes; says whether anything was done.
    async fn client_step(&mut self) -> bool {
        let step = {
            let state = self.entry.state.borrow();
            if state.has_output() { None } else { state.client_step() }
        };
        let Some((client, _)) = &mut self.client else {
            return false;
        };
        match step {
            None => return false,
            Some(ClientStep::End) => {
                // Failing means that the client has reset the connection.
                match client.shutdown().await {
                    Ok(()) => self.entry.state.borrow_mut().client_told_end(),
                    Err(_) => self.entry.state.borrow_mut().client_reset(),
                }
            }
            Some(ClientStep::Close) => {
                if !self.entry.state.borrow().input.ended() {
                    linger(client, Instant::now() + self.shared.config.linger).await;
                }
                self.client = None;
                self.entry.state.borrow_mut().client_left();
            }
            Some(ClientStep::Reset) => {
                let mut state = self.entry.state.borrow_mut();
                if let Some(failure) = state.failure() {
                    let id = state.id().map_or_else(|| "without a server".to_owned(), |id| id.to_string());
                    say!("connection {id}: {failure}: its client is reset");
                }
                state.client_reset();
                if let Some((client, _)) = self.client.take() {
                    reset(client);
                }
            }
        }
        true
    }

    /// What the server's socket needs besides bytes; says whether anything was done.
    async fn upstream_step(&mut self) -> bool {
        let step = {
            let state = self.entry.state.borrow();
            if state.has_input() { None } else { state.upstream_step() }
        };
        match (step, self.upstream.take()) {
            (None, upstream) => {
                self.upstream = upstream;
                return false;
            }
            (Some(UpstreamStep::End), Some(mut upstream)) => {
                let told = upstream.shutdown().await;
                self.upstream = Some(upstream);
                let mut state = self.entry.state.borrow_mut();
                match told {
                    Ok(()) => state.upstream_told_end(),
                    Err(_) => state.upstream_write_failed(),
                }
            }
            (Some(UpstreamStep::Reset), Some(upstream)) => {
                reset(upstream);
                self.entry.state.borrow_mut().upstream_dropped();
            }
            (Some(_), _) => self.entry.state.borrow_mut().upstream_dropped(),
        }
        true
    }

    /// The next deadline; also notices one that has passed.
    fn deadline(&mut self, state: &mut Connection) -> Option<Instant> {
        let now = Instant::now();
        let wanted = matches!(state.link(), Link::Wanted(_)) && self.attempt.is_none();
        let retry = self.retry_at.filter(|&at| wanted && at > now);
        if !(state.unexplained() && self.shared.authority.borrow().primary_there()) {
            self.unexplained_since = None;
            return retry;
        }
        let limit = self.shared.config.unexplained_limit;
        let since = *self.unexplained_since.get_or_insert(now);
        if now >= since + limit {
            state.fail(ConnectionError::Unexplained { seconds: limit.as_secs() });
            return Some(now);
        }
        Some(retry.map_or(since + limit, |retry| retry.min(since + limit)))
    }

    /// Until a socket is ready, an order came, or a deadline passed.
    async fn wait(&mut self) {
        let entry = Rc::clone(&self.entry);
        let (client_interest, upstream_interest, deadline) = {
            let mut state = entry.state.borrow_mut();
            let deadline = self.deadline(&mut state);
            // Where nothing else is awaited, a reset still is.
            let client = interest(state.wants_client(), state.has_output()).or(Some(Interest::ERROR));
            let over = state.output.upstream_end().is_some().then_some(Interest::ERROR);
            (client, interest(state.wants_upstream(), state.has_input()).or(over), deadline)
        };
        let client = self.client.as_ref().map(|(client, _)| client);
        tokio::select! {
            () = entry.changed.notified() => {}
            () = ready(client, client_interest) => {
                if client_interest == Some(Interest::ERROR) {
                    entry.state.borrow_mut().client_reset();
                }
            }
            () = ready(self.upstream.as_ref(), upstream_interest) => {
                if upstream_interest == Some(Interest::ERROR) {
                    entry.state.borrow_mut().upstream_write_failed();
                }
            }
            made = outcome(&mut self.attempt) => self.attempted(made),
            () = until(deadline) => {}
        }
    }

    fn attempted(&mut self, made: io::Result<TcpStream>) {
        self.attempt = None;
        let mut state = self.entry.state.borrow_mut();
        if state.link_serial() != self.link_serial {
            return;
        }
        match made {
            Ok(upstream) => {
                self.upstream = Some(upstream);
                self.retry_at = None;
                state.linked();
            }
            Err(error) => {
                if self.retry_at.is_none() && error.kind() != ErrorKind::NotConnected {
                    say!("a client waits, the server cannot be reached: {error}");
                }
                self.retry_at = Some(Instant::now() + self.shared.config.reconnect_interval);
                if !self.shared.listening.borrow().is_open(self.entry.listener) {
                    state.refuse();
                }
            }
        }
    }
}

/// A client that resets is noticed here; then nothing of it is needed any more.
fn read_client(client: &TcpStream, state: &mut Connection) -> bool {
    match client.try_read_buf(state.input.space()) {
        Ok(0) => state.input.end(),
        Ok(_) => {
            state.input.arrived();
        }
        Err(error) if would_block(&error) => return false,
        Err(_) => state.client_reset(),
    }
    true
}

fn write_client(client: &TcpStream, state: &mut Connection) -> bool {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let used = state.output.slices(&mut slices);
    match client.try_write_vectored(&slices[..used]) {
        Ok(n) => state.output.pass(n),
        Err(error) if would_block(&error) => return false,
        Err(_) => state.client_reset(),
    }
    true
}

fn write_upstream(upstream: &TcpStream, state: &mut Connection) -> bool {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let used = state.input.slices(&mut slices);
    match upstream.try_write_vectored(&slices[..used]) {
        Ok(n) => state.input.send(n),
        Err(error) if would_block(&error) => return false,
        Err(_) => state.upstream_write_failed(),
    }
    true
}

/// Gives a client that was told the end the time to close: closing first, with its bytes unread, would send a reset, which
/// can destroy output that the client has not read.
async fn linger(client: &TcpStream, deadline: Instant) {
    let mut dropped = vec![0; DISCARD];
    while timeout_at(deadline, client.readable()).await.is_ok_and(|readable| readable.is_ok()) {
        match client.try_read(&mut dropped) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if would_block(&error) => {}
            Err(_) => return,
        }
    }
}

fn interest(read: bool, write: bool) -> Option<Interest> {
    match (read, write) {
        (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        (true, false) => Some(Interest::READABLE),
        (false, true) => Some(Interest::WRITABLE),
        (false, false) => None,
    }
}

async fn ready(socket: Option<&TcpStream>, interest: Option<Interest>) {
    match (socket, interest) {
        // A failing wait is a socket that fails: reading or writing it tells.
        (Some(socket), Some(interest)) => drop(socket.ready(interest).await),
        _ => pending().await,
    }
}

async fn outcome(attempt: &mut Option<Attempt>) -> io::Result<TcpStream> {
    match attempt {
        Some(attempt) => attempt.await,
        None => pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

//! One client connection: both directions, their ends, and the move from one server to the next.
//!
//! The connection outlives its servers. What is at its server side is a [`Link`]: wanted (to be made), up, or lost. A takeover
//! replaces the link by one to the new primary and raises [`Connection::link_serial`], so that whoever moves the bytes
//! drops the old socket before it touches another byte.
//!
//! Order of ends: an end of stream stands behind the bytes of its direction. A reset by the client ends the server side at
//! once, as in TCP. While the output is held for a backup, an end of the server side never reaches the client by itself; it
//! may be the death of the primary.
//!
//! No sockets, no clock: the caller reports what happened and asks what to do.

use std::net::SocketAddr;

use common::ids::{ConnId, Epoch};
use common::orders::{Carried, Progress, ResumeHeader};
use thiserror::Error;

use crate::config::Config;
use crate::input::{Input, InputError};
use crate::output::{End, Output, OutputError};

/// Why a client is reset by the proxy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// In the direction to the client.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// In the direction to the server.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The server closed its listener before it took the connection.
    #[error("the server stopped listening before it accepted the connection")]
    Refused,
    /// The server side ended, and no order of a living pair says why.
    #[error("the connection to the server ended and no order explained it for {seconds} s while the primary was there")]
    Unexplained {
        /// How long the proxy waited.
        seconds: u64,
    },
    /// Closing the client in order would look like the end of its output.
    #[error("the proxy ends: {reason}")]
    ProxyEnds {
        /// Why.
        reason: &'static str,
    },
}

/// Where the server side is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// At the listener, to be accepted.
    Listener,
    /// At a new primary that knows the connection.
    Resume {
        /// Where it waits.
        at: SocketAddr,
        /// What to send first.
        header: ResumeHeader,
    },
}

/// The server side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// To be connected.
    Wanted(Target),
    /// Connected.
    Up,
    /// Ended for writing at least; stays so until an order says how to go on.
    Lost,
}

/// What to do at the client's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientStep {
    /// Shut down for writing; then [`Connection::client_told_end`].
    End,
    /// Close in order; then [`Connection::client_left`].
    Close,
    /// Reset; then [`Connection::client_reset`].
    Reset,
}

/// What to do at the server's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamStep {
    /// Shut down for writing; then [`Connection::upstream_told_end`].
    End,
    /// Close in order; then [`Connection::upstream_dropped`].
    Close,
    /// Reset and drop it; then [`Connection::upstream_dropped`].
    Reset,
}

/// What becomes of a connection that a new primary does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is connected anew, under a new name.
    Anew,
    /// The server had closed it; only the client has still to get the rest.
    Finished,
}

/// Whether the client is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Open,
    /// It was told the end of the stream.
    Ended,
    /// Closed in order, everything delivered.
    Left,
    /// It reset the connection, or was reset.
    Gone,
}

/// See the module.
#[derive(Debug)]
pub struct Connection {
    /// Both directions.
    pub input: Input,
    /// See `input`.
    pub output: Output,
    id: Option<ConnId>,
    client: Client,
    link: Link,
    link_serial: u64,
    /// The server's socket takes no more bytes.
    write_failed: bool,
    /// Some order named it: the server has accepted it.
    accepted: bool,
    /// An order said that the server closed its last descriptor.
    closed: bool,
    /// The client is gone, but the server may have been told of the connection and not yet have accepted it.
    owed: bool,
    solo: bool,
    /// The server has ended.
    exiting: bool,
    failed: Option<ConnectionError>,
    retain_limit: usize,
    queue_limit: usize,
}

impl Connection {
    /// A client that was just accepted.
    #[must_use]
    pub fn new(config: &Config, solo: bool) -> Self {
        let faults = config.faults;
        Self {
            input: Input::new(solo, faults.ignore_input_rule, faults.ignore_dedup),
            output: Output::new(solo, config.backlog_limit, faults.ignore_output_rule, faults.ignore_dedup),
            id: None,
            client: Client::Open,
            link: Link::Wanted(Target::Listener),
            link_serial: 0,
            write_failed: false,
            accepted: false,
            closed: false,
            owed: false,
            solo,
            exiting: false,
            failed: None,
            retain_limit: config.retain_limit,
            queue_limit: config.queue_limit,
        }
    }

    /// Its name with the replicas; none before it is connected to a server.
    #[must_use]
    pub fn id(&self) -> Option<ConnId> {
        self.id
    }

    /// The server side.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// Counts the links: a socket made under an older number is void.
    #[must_use]
    pub fn link_serial(&self) -> u64 {
        self.link_serial
    }

    /// Why the proxy gave the connection up, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<ConnectionError> {
        self.failed
    }

    // ---- the client's socket

    /// Whether the client's socket is of use.
    #[must_use]
    pub fn client_there(&self) -> bool {
        matches!(self.client, Client::Open | Client::Ended)
    }

    /// Whether to read the client.
    #[must_use]
    pub fn wants_client(&self) -> bool {
        let limit = if self.link == Link::Up { self.retain_limit } else { self.queue_limit.min(self.retain_limit) };
        self.client_there() && self.failed.is_none() && self.input.wants(limit)
    }

    /// Whether there is something to write to the client.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.client == Client::Open && self.failed.is_none() && self.output.ready()
    }

    /// The client reset the connection, or its socket failed.
    pub fn client_reset(&mut self) {
        self.client = Client::Gone;
    }

    /// [`ClientStep::End`] is done.
    pub fn client_told_end(&mut self) {
        if self.client == Client::Open {
            self.client = Client::Ended;
        }
    }

    /// [`ClientStep::Close`] is done.
    pub fn client_left(&mut self) {
        self.client = Client::Left;
    }

    /// What the client's socket needs once [`Connection::has_output`] is false.
    #[must_use]
    pub fn client_step(&self) -> Option<ClientStep> {
        if !self.client_there() {
            return None;
        }
        if self.failed.is_some() {
            return Some(ClientStep::Reset);
        }
        if self.client == Client::Ended {
            return self.server_closed().then_some(ClientStep::Close);
        }
        match self.output.end() {
            Some(End::Eof) => Some(ClientStep::End),
            Some(End::Reset) => Some(ClientStep::Reset),
            // The end of the server closed whatever it still held.
            None if self.exiting && self.link == Link::Wanted(Target::Listener) => Some(ClientStep::Reset),
            None if self.exiting && self.output.upstream_end().is_some() && self.output.all_passed() => {
                Some(ClientStep::End)
            }
            None => None,
        }
    }

    /// Whether the server can do nothing more with the connection.
    fn server_closed(&self) -> bool {
        self.closed
            || self.exiting
            || (self.solo
                && (self.link == Link::Lost || (self.input.end_sent() && self.output.upstream_end().is_some())))
    }

    // ---- the server's socket

    /// The name under which the next link will be known. Before the connection is made: the server may be faster than the
    /// proxy's own notice of the connection.
    pub fn name(&mut self, id: Option<ConnId>) {
        self.id = id;
    }

    /// Whether a wanted link is to be made: for a client, or because the server counts on it.
    #[must_use]
    pub fn wants_link(&self) -> bool {
        self.client_there() || self.is_owed()
    }

    fn is_owed(&self) -> bool {
        self.owed && self.failed.is_none() && !self.exiting
    }

    /// The server side is connected.
    pub fn linked(&mut self) {
        self.link = Link::Up;
        self.owed = false;
    }

    /// Whether to read the server.
    #[must_use]
    pub fn wants_upstream(&self) -> bool {
        self.link == Link::Up && self.client_there() && self.failed.is_none() && self.output.wants()
    }

    /// Whether there is something to write to the server.
    #[must_use]
    pub fn has_input(&self) -> bool {
        self.link == Link::Up && !self.write_failed && self.failed.is_none() && self.input.ready()
    }

    /// The server's socket brought an end of stream or a reset.
    pub fn upstream_ended(&mut self, end: End) {
        // The reset that made a write fail is reported once; the reading side then looks like an end in order.
        let end = if self.write_failed { End::Reset } else { end };
        self.output.upstream_ended(end);
        if end == End::Reset {
            self.link = Link::Lost;
        }
    }

    /// The server's socket takes no more. What it sent before can still be read.
    pub fn upstream_write_failed(&mut self) {
        self.write_failed = true;
        if self.output.upstream_end().is_some() {
            self.link = Link::Lost;
        }
    }

    /// [`UpstreamStep::End`] is done.
    pub fn upstream_told_end(&mut self) {
        self.input.send_end();
    }

    /// [`UpstreamStep::Reset`] is done.
    pub fn upstream_dropped(&mut self) {
        self.link = Link::Lost;
    }

    /// What the server's socket needs once [`Connection::has_input`] is false.
    #[must_use]
    pub fn upstream_step(&self) -> Option<UpstreamStep> {
        if self.link != Link::Up {
            return None;
        }
        match self.client {
            Client::Gone => Some(UpstreamStep::Reset),
            Client::Left => Some(UpstreamStep::Close),
            _ => (self.input.end_due() && !self.write_failed).then_some(UpstreamStep::End),
        }
    }

    /// Whether the server side ended without an order that explains it.
    #[must_use]
    pub fn unexplained(&self) -> bool {
        !self.solo && self.client_there() && self.output.upstream_end().is_some() && !self.output.complete()
    }

    // ---- orders

    /// A release order.
    pub fn release(&mut self, progress: &Progress) {
        self.accepted = true;
        self.closed |= progress.closed;
        self.output.release(progress.produced, progress.finished || progress.closed);
        if progress.reset {
            self.output.reset_at_end();
        }
        if let Err(error) = self.input.consume(progress.consumed) {
            self.fail(error.into());
        }
    }

    /// The primary goes on without a backup.
    pub fn go_solo(&mut self) {
        self.solo = true;
        self.input.go_solo();
        self.output.go_solo();
    }

    /// A backup holds the log from now on.
    pub fn pair(&mut self) {
        if self.solo {
            self.solo = false;
            self.accepted |= self.input.retained_from() > 0 || self.output.received() > 0;
            self.input.pair();
            self.output.pair();
        }
    }

    /// A new primary carries the connection on; see [`Connection::resumed`] for whether it comes to that.
    pub fn carry(&mut self, epoch: Epoch, carried: &Carried, at: SocketAddr) {
        self.solo = true;
        self.replace_link();
        if !self.client_there() || self.failed.is_some() {
            return;
        }
        let progress = &carried.progress;
        self.accepted = true;
        self.closed |= progress.closed;
        let finished = progress.finished || progress.closed;
        if progress.reset {
            self.output.reset_at_end();
        }
        let moved = match self.output.carry(progress.produced, finished, carried.output_from) {
            Ok(()) => self.input.carry(progress.consumed).map_err(ConnectionError::from),
            Err(error) => Err(error.into()),
        };
        match moved {
            Ok(()) if self.closed && self.output.complete() => {}
            Ok(()) => {
                let header = ResumeHeader { epoch, conn: progress.conn };
                self.link = Link::Wanted(Target::Resume { at, header });
            }
            Err(error) => self.fail(error),
        }
    }

    /// Whether a connection that a new primary carries on will reach it, or has. Not when the client is gone, nor when the server
    /// has closed the connection and the proxy has all its output.
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.client_there() && self.failed.is_none() && self.link != Link::Lost
    }

    /// A new primary does not know the connection. Either the server never accepted it: then it is connected anew, with all
    /// its input. That holds also when the client is gone: where poll has told the server of a connection that waits, as the
    /// log says, accept must not wait for another. Or an order has shown that it was accepted: then the server closed it and the proxy has all its output.
    pub fn carry_not(&mut self) -> Kept {
        self.solo = true;
        self.replace_link();
        if self.accepted {
            self.closed = true;
            if let Err(error) = self.output.finish() {
                self.fail(error.into());
            }
            return Kept::Finished;
        }
        self.owed = self.id.is_some() && !self.client_there();
        self.id = None;
        self.link = Link::Wanted(Target::Listener);
        self.output.restart();
        if let Err(error) = self.input.restart() {
            self.fail(error.into());
        }
        self.go_solo();
        Kept::Anew
    }

    /// Voids the server's socket.
    fn replace_link(&mut self) {
        self.link = Link::Lost;
        self.link_serial += 1;
        self.write_failed = false;
    }

    /// The server closed the listener: a connection that it has not been given is refused. One that is being made may have
    /// been accepted already: whether it comes to be tells.
    pub fn refuse(&mut self) {
        if self.link == Link::Wanted(Target::Listener) && self.id.is_none() {
            self.fail(ConnectionError::Refused);
        }
    }

    /// The server ended by itself.
    pub fn exit(&mut self) {
        self.exiting = true;
    }

    /// Gives the connection up: the client is reset.
    pub fn fail(&mut self, error: ConnectionError) {
        self.failed.get_or_insert(error);
    }

    /// Whether nothing is left to do. While a backup holds the log, the name stays taken until an order says that the server
    /// closed the connection.
    #[must_use]
    pub fn done(&self) -> bool {
        !self.wants_link() && self.link != Link::Up && (self.solo || self.closed || self.exiting || self.id.is_none())
    }
}

#[cfg(test)]
mod model;

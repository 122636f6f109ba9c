//! A replica's connection to the proxy.
//!
//! Orders go out under one lock, in the order in which they are given. Answers to Bind, Listen and Takeover are awaited by the
//! one who asked; everything else that the proxy says goes to a listener of the caller.

use std::collections::BTreeSet;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{io::ErrorKind, io::Read, io::Write};

use common::codec::{self, CodecError};
use common::ids::{Epoch, ReplicaId};
use common::orders::{self, CONTROL_MAGIC, CONTROL_VERSION, Listener, ListenerId, Role, ToProxy, ToReplica};
use thiserror::Error;

use crate::recorder::Outside;

/// How long the proxy may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the proxy cannot be spoken to.
#[derive(Debug, Error)]
pub enum ControlError {
    /// It cannot be reached.
    #[error(
        "the proxy's control address {address} cannot be reached: {error}; start it first, with ftrun --proxy --control {address}"
    )]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// Somebody else listens there.
    #[error(
        "{address} is no control address of an ftrun proxy: it greets with {found:02x?}, expected {CONTROL_MAGIC:02x?}"
    )]
    Stranger {
        /// Where.
        address: SocketAddr,
        /// Its first bytes.
        found: Vec<u8>,
    },
    /// Somebody listens there who says nothing, or the end.
    #[error("{address} is no control address of an ftrun proxy: {what}")]
    Dumb {
        /// Where.
        address: SocketAddr,
        /// What it did.
        what: String,
    },
    /// A proxy of another version.
    #[error(
        "the proxy at {address} speaks version {found}, expected {CONTROL_VERSION}: run the same ftrun on all machines"
    )]
    Version {
        /// Where.
        address: SocketAddr,
        /// Its version.
        found: u32,
    },
    /// The connection failed.
    #[error("the connection to the proxy: {0}")]
    Codec(#[from] CodecError),
    /// No answer.
    #[error("the proxy did not answer {what} within {PATIENCE:?}")]
    Silent {
        /// To what.
        what: &'static str,
    },
    /// It closed the connection.
    #[error("the proxy closed its control connection")]
    Closed,
}

/// What the proxy says by itself.
#[derive(Debug)]
pub enum Notice {
    /// A message that answers nothing.
    Message(ToReplica),
    /// The connection is over.
    Closed,
}

/// The connection.
#[derive(Debug)]
pub struct ProxyControl {
    stream: Mutex<TcpStream>,
    answers: Mutex<Receiver<ToReplica>>,
    local: SocketAddr,
}

impl ProxyControl {
    /// Connects, and greets. What the proxy says by itself goes to `notice`, from a thread of its own.
    ///
    /// # Errors
    /// When there is no proxy or it does not answer.
    pub fn connect(
        address: SocketAddr,
        epoch: Epoch,
        replica: ReplicaId,
        role: Role,
        notice: impl FnMut(Notice) + Send + 'static,
    ) -> Result<Self, ControlError> {
        let failed = |error| ControlError::Connect { address, error };
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let expected = orders::preamble();
        stream.write_all(&expected).map_err(failed)?;
        let mut found = [0; 12];
        stream.read_exact(&mut found).map_err(|error| {
            let what = match error.kind() {
                ErrorKind::UnexpectedEof => "it closed the connection without a greeting".to_owned(),
                ErrorKind::WouldBlock => format!("it sent no greeting within {PATIENCE:?}"),
                _ => error.to_string(),
            };
            ControlError::Dumb { address, what }
        })?;
        let (magic, version) = found.split_at(CONTROL_MAGIC.len());
        if magic != CONTROL_MAGIC {
            return Err(ControlError::Stranger { address, found: magic.to_vec() });
        }
        if found != expected {
            let found = u32::from_le_bytes(version.try_into().unwrap_or_default());
            return Err(ControlError::Version { address, found });
        }
        stream.set_read_timeout(None).map_err(failed)?;
        let local = stream.local_addr().map_err(failed)?;
        let reader = stream.try_clone().map_err(failed)?;
        let (sender, answers) = mpsc::channel();
        std::thread::Builder::new()
            .name("proxy-control".into())
            .spawn(move || listen(reader, &sender, notice))
            .map_err(failed)?;
        let control = Self { stream: Mutex::new(stream), answers: Mutex::new(answers), local };
        control.send(&ToProxy::Hello { epoch, replica, role })?;
        match control.answer("Hello")? {
            ToReplica::Welcome { .. } => Ok(control),
            _ => Err(ControlError::Silent { what: "Hello" }),
        }
    }

    /// This end of the connection: an address where the proxy can reach this machine.
    #[must_use]
    pub fn local_ip(&self) -> IpAddr {
        self.local.ip()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection failed.
    pub fn send(&self, message: &ToProxy) -> Result<(), ControlError> {
        let bytes = codec::encode_message(message)?;
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&bytes).map_err(CodecError::Io)?;
        Ok(())
    }

    /// Sends a message and waits for the answer to it.
    ///
    /// # Errors
    /// When the connection failed or no answer comes.
    pub fn ask(&self, message: &ToProxy, what: &'static str) -> Result<ToReplica, ControlError> {
        self.send(message)?;
        self.answer(what)
    }

    fn answer(&self, what: &'static str) -> Result<ToReplica, ControlError> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => ControlError::Silent { what },
            RecvTimeoutError::Disconnected => ControlError::Closed,
        })
    }

    /// Ends the connection.
    pub fn close(&self) {
        // Closing what is closed already is no error worth telling.
        let _ = self.stream.lock().unwrap_or_else(PoisonError::into_inner).shutdown(Shutdown::Both);
    }
}

fn listen(mut stream: TcpStream, answers: &Sender<ToReplica>, mut notice: impl FnMut(Notice)) {
    while let Ok(message) = codec::read_message::<ToReplica>(&mut stream) {
        match message {
            ToReplica::Received { .. } | ToReplica::Superseded { .. } => notice(Notice::Message(message)),
            answer => {
                if answers.send(answer).is_err() {
                    return;
                }
            }
        }
    }
    notice(Notice::Closed);
}

/// Moves listeners aside: clients connect to the proxy, the proxy to `advertise`.
#[derive(Debug)]
pub struct Aside<'a> {
    /// The proxy.
    pub control: &'a ProxyControl,
    /// This machine as the proxy reaches it.
    pub advertise: IpAddr,
    /// The sockets whose output is not held back, for the status.
    pub unprotected: &'a Mutex<BTreeSet<String>>,
}

impl Outside for Aside<'_> {
    fn bind(&mut self, id: ListenerId, asked: SocketAddr, reuse_addr: bool, v6_only: bool) -> Result<SocketAddr, i32> {
        match self.control.ask(&ToProxy::Bind { id, asked, reuse_addr, v6_only }, "Bind") {
            Ok(ToReplica::Bound { outcome, .. }) => outcome,
            other => {
                crate::say!("the proxy cannot bind {asked}: {other:?}");
                Err(libc::EADDRNOTAVAIL)
            }
        }
    }

    fn machine(&self) -> IpAddr {
        self.advertise
    }

    fn listen(&mut self, listener: Listener, backlog: i32) -> Result<(), i32> {
        match self.control.ask(&ToProxy::Listen { listener, backlog }, "Listen") {
            Ok(ToReplica::Listening { outcome, .. }) => outcome,
            other => {
                crate::say!("the proxy cannot listen on {}: {other:?}", listener.asked);
                Err(libc::EADDRNOTAVAIL)
            }
        }
    }

    fn unprotected(&mut self, sockets: &BTreeSet<String>) {
        self.unprotected.lock().unwrap_or_else(PoisonError::into_inner).clone_from(sockets);
    }

    fn unlisten(&mut self, id: ListenerId) {
        if let Err(error) = self.control.send(&ToProxy::Unlisten { id }) {
            crate::say!("the proxy cannot be told of a closed listener: {error}");
        }
    }
}

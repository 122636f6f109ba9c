//! One control connection: a replica gives orders, the proxy answers.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use common::codec::{CodecError, decode, encode_message, message_length};
use common::ids::{ConnId, Epoch};
use common::orders::{Carried, Listener, ToProxy, ToReplica, preamble};
use nix::sys::socket::{setsockopt, sockopt};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::listening::{listen, move_listeners};
use crate::log::say;
use crate::orders::{ControlId, Refusal, Takeover};
use crate::shared::Shared;

/// Within this time a peer must have sent the preamble.
const PREAMBLE_LIMIT: Duration = Duration::from_secs(10);
/// Answers that may wait for a replica to read them.
const ANSWERS: usize = 64;
/// A replica whose machine is gone is noticed after this time, in milliseconds, and after about as much silence.
const SILENCE_MS: u32 = 20_000;

/// Why a control connection ended.
#[derive(Debug, Error)]
enum ControlError {
    /// The stream failed or a message is malformed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Not a replica of this version.
    #[error("it begins with {found:02x?}, expected {expected:02x?}: it is no ftrun replica, or one of another version")]
    Preamble { expected: [u8; 12], found: [u8; 12] },
    /// It said nothing.
    #[error("it sent no preamble within {} s", PREAMBLE_LIMIT.as_secs())]
    Silent,
    /// It has not the right to give this order.
    #[error("{order} is refused: {refusal}")]
    Refused { order: &'static str, refusal: Refusal },
}

impl From<io::Error> for ControlError {
    fn from(error: io::Error) -> Self {
        Self::Codec(error.into())
    }
}

struct Control {
    shared: Rc<Shared>,
    id: ControlId,
    peer: SocketAddr,
    answers: mpsc::Sender<ToReplica>,
}

/// Serves one control connection until it ends.
pub(crate) async fn serve(shared: Rc<Shared>, id: ControlId, stream: TcpStream, peer: SocketAddr) {
    let (answers, waiting) = mpsc::channel(ANSWERS);
    let control = Control { shared: Rc::clone(&shared), id, peer, answers };
    let ended = control.run(stream, waiting).await;
    shared.controls.borrow_mut().remove(&id);
    let greeted = shared.authority.borrow().greeted();
    shared.authority.borrow_mut().left(id);
    match ended {
        Err(ControlError::Codec(CodecError::Io(error))) => say!("the replica at {peer} is gone: {error}"),
        Err(error) => say!("the control connection from {peer} is closed: {error}"),
        Ok(()) => {}
    }
    if shared.authority.borrow().greeted() != greeted {
        // Clients that come now wait for the next primary.
        shared.for_all(|_, _| {});
        shared.refresh_stats();
        shared.news.notify_one();
    }
}

/// Notices a replica whose machine is gone.
fn watch(stream: &TcpStream) -> nix::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &10)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &5)?;
    setsockopt(stream, sockopt::TcpKeepCount, &2)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &SILENCE_MS)
}

async fn write(mut stream: OwnedWriteHalf, mut waiting: mpsc::Receiver<ToReplica>) -> Result<(), ControlError> {
    while let Some(answer) = waiting.recv().await {
        stream.write_all(&encode_message(&answer)?).await?;
    }
    // The sender lives as long as the reading side.
    pending().await
}

impl Control {
    async fn run(&self, mut stream: TcpStream, waiting: mpsc::Receiver<ToReplica>) -> Result<(), ControlError> {
        stream.set_nodelay(true)?;
        watch(&stream).map_err(io::Error::from)?;
        stream.write_all(&preamble()).await?;
        let mut found = [0; 12];
        let read = timeout(PREAMBLE_LIMIT, stream.read_exact(&mut found)).await;
        read.map_err(|_| ControlError::Silent)??;
        let expected = preamble();
        if found != expected {
            return Err(ControlError::Preamble { expected, found });
        }
        let (reading, writing) = stream.into_split();
        tokio::select! {
            ended = self.obey(reading) => ended,
            ended = write(writing, waiting) => ended,
        }
    }

    async fn obey(&self, stream: OwnedReadHalf) -> Result<(), ControlError> {
        let mut stream = BufReader::with_capacity(64 << 10, stream);
        let mut body = Vec::new();
        loop {
            let mut prefix = [0; 4];
            stream.read_exact(&mut prefix).await?;
            body.resize(message_length(prefix)?, 0);
            stream.read_exact(&mut body).await?;
            let order = decode::<ToProxy>(&body)?;
            let name = name(&order);
            match self.order(order).await {
                Ok(()) => {}
                Err(Refusal::Superseded(epoch)) => {
                    say!("{name} from {} is ignored: {}", self.peer, Refusal::Superseded(epoch));
                    self.answer(ToReplica::Superseded { epoch }).await;
                }
                Err(refusal) => return Err(ControlError::Refused { order: name, refusal }),
            }
        }
    }

    async fn answer(&self, answer: ToReplica) {
        // Fails only when the writing side has ended, which ends this connection.
        let _ = self.answers.send(answer).await;
    }

    async fn order(&self, order: ToProxy) -> Result<(), Refusal> {
        let shared = &self.shared;
        match order {
            ToProxy::Hello { epoch, replica, role } => {
                let before = shared.authority.borrow().mode();
                shared.authority.borrow_mut().hello(self.id, epoch, replica, role)?;
                say!("replica {replica} at {} is {role:?} in epoch {epoch}", self.peer);
                shared.controls.borrow_mut().insert(self.id, self.answers.clone());
                self.answer(ToReplica::Welcome { pid: std::process::id(), seen_as: self.peer }).await;
                shared.follow(before);
                shared.reports.all_moved(shared);
                self.epoch_changed();
            }
            ToProxy::Bind { id, asked, reuse_addr: _, v6_only } => {
                shared.authority.borrow().may_serve(self.id)?;
                let outcome = shared.listening.borrow_mut().bind(id, asked, v6_only);
                self.answer(ToReplica::Bound { id, outcome }).await;
            }
            ToProxy::Listen { listener, backlog } => {
                shared.authority.borrow().may_serve(self.id)?;
                let outcome = listen(shared, &listener, backlog);
                shared.refresh_stats();
                // Clients may wait for it since a takeover.
                shared.for_all(|_, _| {});
                self.answer(ToReplica::Listening { id: listener.id, outcome }).await;
            }
            ToProxy::Unlisten { id } => {
                shared.authority.borrow().may_serve(self.id)?;
                shared.listening.borrow_mut().unlisten(id);
                shared.for_all(|entry, state| {
                    if entry.listener == id {
                        state.refuse();
                    }
                });
                shared.refresh_stats();
            }
            ToProxy::Release { progress } => {
                shared.authority.borrow().may_release(self.id)?;
                shared.release(&progress);
            }
            ToProxy::Takeover { epoch, replica, resume, listeners, carried } => {
                let kind = shared.authority.borrow_mut().takeover(self.id, epoch, replica)?;
                shared.controls.borrow_mut().insert(self.id, self.answers.clone());
                let gone = self.take_over(kind, epoch, resume, &listeners, &carried);
                self.answer(ToReplica::TakenOver { gone }).await;
            }
            ToProxy::Exit { status } => {
                shared.authority.borrow().may_end(self.id)?;
                shared.exit.set(Some(status));
                shared.news.notify_one();
            }
        }
        Ok(())
    }

    fn take_over(
        &self,
        kind: Takeover,
        epoch: Epoch,
        resume: SocketAddr,
        listeners: &[Listener],
        carried: &[Carried],
    ) -> Vec<ConnId> {
        let shared = &self.shared;
        if kind == Takeover::Repeat {
            return shared.gone(carried);
        }
        move_listeners(shared, listeners);
        let gone = shared.take_over(epoch, resume, carried);
        self.epoch_changed();
        gone
    }

    /// Tells replicas of older epochs without waiting for their next order.
    fn epoch_changed(&self) {
        let authority = self.shared.authority.borrow();
        let epoch = authority.epoch();
        let controls = self.shared.controls.borrow();
        for sender in authority.superseded().filter_map(|control| controls.get(&control)) {
            // One that does not read learns it from the answer to its next order.
            let _ = sender.try_send(ToReplica::Superseded { epoch });
        }
        drop((authority, controls));
        self.shared.refresh_stats();
        self.shared.news.notify_one();
    }
}

fn name(order: &ToProxy) -> &'static str {
    match order {
        ToProxy::Hello { .. } => "Hello",
        ToProxy::Bind { .. } => "Bind",
        ToProxy::Listen { .. } => "Listen",
        ToProxy::Unlisten { .. } => "Unlisten",
        ToProxy::Release { .. } => "Release",
        ToProxy::Takeover { .. } => "Takeover",
        ToProxy::Exit { .. } => "Exit",
    }
}

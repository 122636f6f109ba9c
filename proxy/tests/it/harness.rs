//! A proxy in a thread of its own, and the replicas and servers that the tests play. Every wait has a deadline.

use std::future::Future;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use common::codec::{decode, encode_message, message_length};
use common::ids::{ConnId, Epoch, ReplicaId};
use common::orders::{
    Carried, Listener, ListenerId, Progress, RESUME_HEADER_LEN, ResumeHeader, Role, ToProxy, ToReplica, preamble,
};
use ftrun_proxy::{Config, Exit, ProxyError, Stats, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Longer than anything takes that goes right.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long a client is watched for bytes that must not come, after the proxy is known to have them.
const WATCH: Duration = Duration::from_millis(80);

pub(crate) const LOOPBACK: &str = "127.0.0.1:0";
pub(crate) const LISTENER: ListenerId = ListenerId(7);

/// Says that a test cannot run here, and why; `tests/run` counts and shows these.
pub(crate) fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED: {test}: {reason}");
    let list = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    let mut file = std::fs::File::options().create(true).append(true).open(list).unwrap();
    std::io::Write::write_all(&mut file, format!("{test}: {reason}\n").as_bytes()).unwrap();
}

/// Awaits something that must happen.
pub(crate) async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, event).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

pub(crate) struct Proxy {
    pub(crate) control: SocketAddr,
    pub(crate) stats: Stats,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<Exit, ProxyError>>>,
}

impl Proxy {
    pub(crate) fn start(config: Config) -> Self {
        let listener = std::net::TcpListener::bind(LOOPBACK).unwrap();
        listener.set_nonblocking(true).unwrap();
        let control = listener.local_addr().unwrap();
        let stats = config.stats.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                run(config, listener, async { drop(stopped.await) }).await
            })
        });
        Self { control, stats, stop: Some(stop), thread: Some(thread) }
    }

    /// How it ended by itself.
    pub(crate) async fn ended(mut self) -> Result<Exit, ProxyError> {
        let thread = self.thread.take().unwrap();
        within("the end of the proxy", tokio::task::spawn_blocking(|| thread.join().unwrap())).await.unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                assert!(matches!(ended.unwrap(), Ok(Exit::Shutdown)));
            }
        }
    }
}

/// One control connection.
pub(crate) struct Replica {
    pub(crate) stream: TcpStream,
    id: ReplicaId,
    /// Bytes of messages that are not whole yet.
    pending: Vec<u8>,
}

impl Replica {
    pub(crate) async fn connect(control: SocketAddr, id: u64) -> Self {
        let mut stream = TcpStream::connect(control).await.unwrap();
        stream.write_all(&preamble()).await.unwrap();
        let mut found = [0; 12];
        within("the preamble", stream.read_exact(&mut found)).await.unwrap();
        assert_eq!(found, preamble());
        Self { stream, id: ReplicaId(id), pending: Vec::new() }
    }

    pub(crate) async fn send(&mut self, order: ToProxy) {
        self.stream.write_all(&encode_message(&order).unwrap()).await.unwrap();
    }

    /// The next message. Nothing is lost when it is not awaited to the end.
    pub(crate) async fn receive(&mut self) -> ToReplica {
        within("an answer", async {
            loop {
                if let Some(prefix) = self.pending.first_chunk::<4>() {
                    let end = 4 + message_length(*prefix).unwrap();
                    if self.pending.len() >= end {
                        let message: Vec<u8> = self.pending.drain(..end).collect();
                        return decode(&message[4..]).unwrap();
                    }
                }
                assert!(self.stream.read_buf(&mut self.pending).await.unwrap() > 0, "the proxy hung up");
            }
        })
        .await
    }

    /// The next message that is no report of received output.
    pub(crate) async fn answer(&mut self) -> ToReplica {
        loop {
            match self.receive().await {
                ToReplica::Received { .. } => {}
                answer => return answer,
            }
        }
    }

    /// Until the proxy says that it has `offset` bytes of a connection.
    pub(crate) async fn received(&mut self, conn: ConnId, offset: u64) {
        loop {
            if let ToReplica::Received { offsets } = self.receive().await
                && offsets.contains(&(conn, offset))
            {
                return;
            }
        }
    }

    pub(crate) async fn hello(&mut self, epoch: u64, role: Role) -> ToReplica {
        self.send(ToProxy::Hello { epoch: Epoch(epoch), replica: self.id, role }).await;
        self.answer().await
    }

    pub(crate) async fn greet(control: SocketAddr, id: u64, epoch: u64, role: Role) -> Self {
        let mut replica = Self::connect(control, id).await;
        let welcome = replica.hello(epoch, role).await;
        let seen_as = replica.stream.local_addr().unwrap();
        assert_eq!(welcome, ToReplica::Welcome { pid: std::process::id(), seen_as });
        replica
    }

    pub(crate) async fn bind(&mut self, id: ListenerId, asked: SocketAddr) -> Result<SocketAddr, i32> {
        self.send(ToProxy::Bind { id, asked, reuse_addr: true, v6_only: false }).await;
        match self.answer().await {
            ToReplica::Bound { id: answered, outcome } if answered == id => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn listen(&mut self, id: ListenerId, asked: SocketAddr, real: SocketAddr) {
        self.send(ToProxy::Listen { listener: Listener { id, asked, real }, backlog: 128 }).await;
        assert_eq!(self.answer().await, ToReplica::Listening { id, outcome: Ok(()) });
    }

    pub(crate) async fn release(&mut self, progress: Progress) {
        self.send(ToProxy::Release { progress: vec![progress] }).await;
    }

    pub(crate) async fn take_over(
        &mut self,
        epoch: u64,
        next: &Next,
        asked: SocketAddr,
        carried: Vec<Carried>,
    ) -> ToReplica {
        let listeners = vec![Listener { id: LISTENER, asked, real: next.server.local_addr().unwrap() }];
        let resume = next.resume.local_addr().unwrap();
        self.send(ToProxy::Takeover { epoch: Epoch(epoch), replica: self.id, resume, listeners, carried }).await;
        self.answer().await
    }
}

/// What a new primary listens on.
pub(crate) struct Next {
    pub(crate) server: TcpListener,
    pub(crate) resume: TcpListener,
}

impl Next {
    pub(crate) async fn new() -> Self {
        Self { server: TcpListener::bind(LOOPBACK).await.unwrap(), resume: TcpListener::bind(LOOPBACK).await.unwrap() }
    }

    /// The connection that the proxy resumes next.
    pub(crate) async fn resumed(&self) -> (TcpStream, ResumeHeader) {
        let (mut stream, _) = within("a connection to resume", self.resume.accept()).await.unwrap();
        let mut header = [0; RESUME_HEADER_LEN];
        within("the resume header", stream.read_exact(&mut header)).await.unwrap();
        (stream, ResumeHeader::decode(&header).unwrap())
    }
}

pub(crate) async fn accept(server: &TcpListener, epoch: u64) -> (TcpStream, ConnId) {
    let (stream, peer) = within("a connection at the server", server.accept()).await.unwrap();
    (stream, ConnId { epoch: Epoch(epoch), peer })
}

/// A pair in step whose server listens.
pub(crate) struct Pair {
    pub(crate) proxy: Proxy,
    pub(crate) primary: Replica,
    pub(crate) backup: Replica,
    pub(crate) server: TcpListener,
    /// Where clients connect.
    pub(crate) at: SocketAddr,
}

impl Pair {
    pub(crate) async fn start(config: Config) -> Self {
        let proxy = Proxy::start(config);
        let mut primary = Replica::greet(proxy.control, 0xa, 1, Role::Primary).await;
        let backup = Replica::greet(proxy.control, 0xb, 1, Role::Backup).await;
        let server = TcpListener::bind(LOOPBACK).await.unwrap();
        let at = primary.bind(LISTENER, LOOPBACK.parse().unwrap()).await.unwrap();
        primary.listen(LISTENER, at, server.local_addr().unwrap()).await;
        Self { proxy, primary, backup, server, at }
    }

    /// A client and the server's end of its connection.
    pub(crate) async fn client(&self) -> (TcpStream, TcpStream, ConnId) {
        let client = TcpStream::connect(self.at).await.unwrap();
        let (server, conn) = accept(&self.server, 1).await;
        (client, server, conn)
    }

    /// The primary's machine is gone: its control connection, its listener. The caller drops its server sockets.
    pub(crate) fn kill_primary(self) -> (Proxy, Replica, SocketAddr) {
        (self.proxy, self.backup, self.at)
    }
}

pub(crate) fn progress(conn: ConnId, consumed: u64, produced: u64) -> Progress {
    Progress { conn, consumed, produced, finished: false, closed: false, reset: false }
}

pub(crate) async fn write(stream: &mut TcpStream, bytes: &[u8]) {
    within("a write", stream.write_all(bytes)).await.unwrap();
}

/// Exactly these bytes come next.
pub(crate) async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut found = vec![0; bytes.len()];
    within("bytes", stream.read_exact(&mut found)).await.unwrap();
    if found != bytes {
        let at = (0..bytes.len()).find(|&i| found[i] != bytes[i]).unwrap();
        panic!("the bytes differ at {at}: {} is not {}", found[at], bytes[at]);
    }
}

/// The stream ends in order, with nothing before.
pub(crate) async fn expect_end(stream: &mut TcpStream) {
    assert_eq!(within("the end of the stream", stream.read(&mut [0; 16])).await.unwrap(), 0);
}

pub(crate) async fn expect_reset(stream: &mut TcpStream) {
    let error = within("a reset", async {
        loop {
            match stream.read(&mut [0; 4096]).await {
                Ok(0) => panic!("the stream ended in order"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    })
    .await;
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// What a client sees while it is to see nothing: empty is right.
pub(crate) async fn watch(stream: &mut TcpStream) -> Vec<u8> {
    let mut found = vec![0; 4096];
    match tokio::time::timeout(WATCH, stream.read(&mut found)).await {
        Err(_) => Vec::new(),
        Ok(read) => {
            let n = read.unwrap();
            found.truncate(n);
            if n == 0 { b"the end of the stream".to_vec() } else { found }
        }
    }
}

pub(crate) fn pattern(len: usize, seed: u32) -> Vec<u8> {
    (0u32..).take(len).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13).to_le_bytes()[0]).collect()
}

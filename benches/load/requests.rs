//! Many connections with a fixed number of requests under way on each.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::{Value, json};

use crate::Requests;
use crate::protocol::{Next, Talk};
use crate::watch::Watch;

/// Milliseconds after which a server that does not answer ends the run.
const PATIENCE_MS: u16 = 10_000;
/// Bytes of one read.
const BLOCK: usize = 64 << 10;

struct Connection {
    stream: TcpStream,
    talk: Talk,
    input: Vec<u8>,
    output: Vec<u8>,
    /// When each request that is under way was sent.
    sent: VecDeque<Instant>,
    waits_to_write: bool,
}

/// What is counted while it is measured.
#[derive(Debug, Default)]
struct Counted {
    /// Nanoseconds of each request.
    latencies: Vec<u64>,
    sent: u64,
    received: u64,
}

/// Asks for the time given and tells what it took.
pub fn run(args: &Requests) -> Result<Value> {
    ensure!(args.connections > 0 && args.depth > 0, "at least one connection and one request on it are needed");
    let mut watch = Watch::new(&args.watch)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut connections = Vec::new();
    for number in 0..args.connections {
        let connection = Connection::open(args, number).with_context(|| format!("connection {number}"))?;
        epoll.add(connection.stream.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        connections.push(connection);
    }
    let mut counted = Counted::default();
    for connection in &mut connections {
        let now = Instant::now();
        for _ in 0..args.depth {
            connection.ask(Next::Fresh, now);
        }
        connection.flush(&mut counted)?;
    }
    let mut begun = Instant::now();
    let mut warm = false;
    let mut all = 0;
    let mut block = vec![0; BLOCK];
    let mut events = vec![EpollEvent::empty(); args.connections.min(256)];
    loop {
        let now = Instant::now();
        if !warm && now - begun >= Duration::from_secs_f64(args.warm_up) {
            warm = true;
            all += counted.latencies.len();
            counted = Counted::default();
            watch.begin()?;
            begun = Instant::now();
        } else if warm && now - begun >= Duration::from_secs_f64(args.seconds) {
            break;
        }
        let ready = match epoll.wait(&mut events, EpollTimeout::from(PATIENCE_MS)) {
            Err(Errno::EINTR) => continue,
            Ok(0) => bail!("the server has not answered for {PATIENCE_MS} ms"),
            ready => ready?,
        };
        for event in &events[..ready] {
            let connection = usize::try_from(event.data()).ok().and_then(|number| connections.get_mut(number));
            let connection = connection.context("an event of no connection")?;
            if event.events().intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
                connection.receive(&mut block, &mut counted)?;
            }
            connection.flush(&mut counted)?;
            if connection.waits_to_write == connection.output.is_empty() {
                connection.waits_to_write = !connection.output.is_empty();
                let write = if connection.waits_to_write { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
                epoll.modify(
                    connection.stream.as_fd(),
                    &mut EpollEvent::new(EpollFlags::EPOLLIN | write, event.data()),
                )?;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (cpu, foreign) = (watch.told()?, watch.foreign()?);
    let mut latencies = counted.latencies;
    ensure!(!latencies.is_empty(), "no request was answered");
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 1000];
    Ok(json!({
        "requests": latencies.len(), "all_requests": all + latencies.len(), "seconds": seconds,
        "p50_ns": at(500), "p99_ns": at(990), "p999_ns": at(999), "max_ns": at(1000),
        "sent_bytes": counted.sent, "received_bytes": counted.received, "cpu": cpu,
        "foreign": foreign,
    }))
}

impl Connection {
    fn open(args: &Requests, number: usize) -> Result<Self> {
        let mut stream = TcpStream::connect(args.connect)?;
        stream.set_nodelay(true)?;
        let talk = Talk::new(args.server, number);
        if let Some((hello, expected)) = talk.greeting() {
            stream.write_all(&hello)?;
            let mut found = vec![0; expected.len()];
            stream.read_exact(&mut found)?;
            ensure!(found == expected, "the greeting is answered by {}", found.escape_ascii());
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream, talk, input: Vec::new(), output: Vec::new(), sent: VecDeque::new(), waits_to_write: false })
    }

    fn ask(&mut self, next: Next, now: Instant) {
        self.talk.ask(next, &mut self.output);
        self.sent.push_back(now);
    }

    /// Takes the replies that are there; each is followed by the next request.
    fn receive(&mut self, block: &mut [u8], counted: &mut Counted) -> Result<()> {
        let n = match self.stream.read(block) {
            Ok(0) => bail!("the server has closed a connection"),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("reading"),
        };
        let now = Instant::now();
        counted.received += n as u64;
        self.input.extend_from_slice(&block[..n]);
        let mut taken = 0;
        while let Some((length, next)) = self.talk.reply(&self.input[taken..])? {
            taken += length;
            let sent = self.sent.pop_front().context("a reply without a request")?;
            counted.latencies.push(u64::try_from((now - sent).as_nanos())?);
            self.ask(next, now);
        }
        self.input.drain(..taken);
        Ok(())
    }

    /// Writes what the socket takes.
    fn flush(&mut self, counted: &mut Counted) -> Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(n) => {
                    counted.sent += n as u64;
                    self.output.drain(..n);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("writing"),
            }
        }
        Ok(())
    }
}

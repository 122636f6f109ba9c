//! A client's connection, which knows how many bytes it has seen and never connects again: an end
//! or a reset that the protocol does not call for is a failure.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::DEADLINE;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    name: String,
    stream: TcpStream,
    /// Received, not yet looked at: `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    sent: u64,
    looked_at: u64,
    longest_wait: Duration,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let open = || -> std::io::Result<TcpStream> {
            let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_write_timeout(Some(DEADLINE))?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = open().with_context(|| format!("{name}: connecting to {address}"))?;
        Ok(Self { name, stream, buffer: Vec::new(), start: 0, sent: 0, looked_at: 0, longest_wait: Duration::ZERO })
    }

    /// Bytes sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes of the server that were looked at so far.
    pub(crate) fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// The longest time that the server let this connection wait for a byte.
    pub(crate) fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.sent;
        self.stream.write_all(bytes).with_context(|| format!("{}: sending after {sent} bytes", self.name))?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    /// The next bytes are exactly `wanted`. The first that differs ends the wait for the rest.
    pub(crate) fn expect(&mut self, wanted: &[u8]) -> Result<()> {
        let at = self.looked_at;
        let mut compared = 0;
        while compared < wanted.len() {
            let here = &self.buffer[self.start..];
            let length = here.len().min(wanted.len() - compared);
            if length == 0 {
                self.receive().with_context(|| {
                    let rest = &wanted[compared..];
                    let start = rest.get(..200).unwrap_or(rest).escape_ascii();
                    format!("{}: expected \"{start}\"", self.name)
                })?;
                continue;
            }
            if here[..length] != wanted[compared..compared + length] {
                let found = [&wanted[..compared], here].concat();
                return self.same(at, wanted, &found);
            }
            self.consume(length);
            compared += length;
        }
        Ok(())
    }

    /// Compares what came at stream offset `at` with what the model says.
    pub(crate) fn same(&self, at: u64, wanted: &[u8], got: &[u8]) -> Result<()> {
        if wanted == got {
            return Ok(());
        }
        let first = wanted.iter().zip(got).take_while(|(a, b)| a == b).count();
        let show = |bytes: &[u8]| {
            let from = first.saturating_sub(20);
            let to = bytes.len().min(first + 80);
            bytes.get(from..to).unwrap_or_default().escape_ascii().to_string()
        };
        bail!(
            "{}: byte {} of the stream differs, {first} into a reply of {}\n  expected ...{}\n  found    ...{}",
            self.name,
            at + first as u64,
            wanted.len(),
            show(wanted),
            show(got),
        )
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() - self.start < length {
            self.receive()?;
        }
        Ok(self.consume(length))
    }

    /// The next line, with its line feed.
    pub(crate) fn line(&mut self) -> Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let unseen = &self.buffer[self.start + searched..];
            if let Some(found) = unseen.iter().position(|byte| *byte == b'\n') {
                return Ok(self.consume(searched + found + 1));
            }
            searched += unseen.len();
            self.receive()?;
        }
    }

    /// Whether a byte of the server is there to be read now.
    pub(crate) fn ready(&self) -> Result<bool> {
        if self.start < self.buffer.len() {
            return Ok(true);
        }
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(length) => Ok(length > 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error).with_context(|| self.broken("while looking for bytes")),
        }
    }

    /// Sends the end of this side and expects nothing but the end of the other one.
    pub(crate) fn end(mut self) -> Result<()> {
        let half = self.stream.shutdown(Shutdown::Write);
        half.with_context(|| format!("{}: half-close", self.name))?;
        self.ended()
    }

    /// Expects nothing but the end of the server's side.
    pub(crate) fn ended(&mut self) -> Result<()> {
        let mut more = self.buffer.split_off(self.start);
        let read = self.stream.read_to_end(&mut more);
        ensure!(
            more.is_empty(),
            "{}: after byte {}, where the stream should end, came \"{}\"",
            self.name,
            self.looked_at,
            more.get(..200).unwrap_or(&more).escape_ascii(),
        );
        read.with_context(|| format!("{}: instead of the end of the stream", self.name))?;
        Ok(())
    }

    fn consume(&mut self, length: usize) -> Vec<u8> {
        let taken = self.buffer[self.start..self.start + length].to_vec();
        self.start += length;
        self.looked_at += length as u64;
        taken
    }

    fn receive(&mut self) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let mut chunk = [0; 65_536];
        let since = Instant::now();
        let received = match self.stream.read(&mut chunk) {
            Ok(0) => bail!(self.broken("the server's side ended")),
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!(self.broken(&format!("no byte for {DEADLINE:?}")))
            }
            Err(error) => bail!(self.broken(&error.to_string())),
        };
        self.longest_wait = self.longest_wait.max(since.elapsed());
        self.buffer.extend_from_slice(&chunk[..received]);
        Ok(())
    }

    fn broken(&self, what: &str) -> String {
        let rest = &self.buffer[self.start..];
        let rest = rest.get(..200).unwrap_or(rest);
        format!(
            "{}: {what} after byte {} (then \"{}\"), {} sent",
            self.name,
            self.looked_at,
            rest.escape_ascii(),
            self.sent,
        )
    }
}

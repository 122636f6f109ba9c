//! Requests and replies of the servers that are asked.

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

/// A server and what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Server {
    /// GET of one small file, over HTTP/1.1.
    Nginx,
    /// PUBLISH of 16 bytes with acknowledgement (QoS 1), nobody subscribed.
    Mosquitto,
    /// `put` of 16 bytes and `delete` in turn: two requests.
    Beanstalkd,
    /// `INCR`: each reply must be the number after the last.
    Kv,
}

/// The talk on one connection.
#[derive(Debug)]
pub struct Talk {
    server: Server,
    number: usize,
    /// Of all replies, where they are of one length.
    length: Option<usize>,
    /// The last number that came.
    counted: Option<u64>,
    packet: u16,
}

/// What follows a reply.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    /// The request that every slot begins with.
    Fresh,
    /// beanstalkd: delete this job.
    Delete(u64),
}

const PAYLOAD: &[u8; 16] = b"0123456789abcdef";

impl Talk {
    /// The talk on connection number `number`.
    pub fn new(server: Server, number: usize) -> Self {
        Self { server, number, length: None, counted: None, packet: 0 }
    }

    /// What is sent first, and what must come back, before any request.
    pub fn greeting(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        if self.server != Server::Mosquitto {
            return None;
        }
        let name = format!("load{}", self.number);
        let mut connect = vec![0x10, 12, 0, 4];
        connect.extend(b"MQTT\x04\x02\x00\x00\x00");
        connect.push(short(name.len()));
        connect.extend(name.as_bytes());
        connect[1] = short(connect.len() - 2);
        Some((connect, vec![0x20, 2, 0, 0]))
    }

    /// Appends a request.
    pub fn ask(&mut self, next: Next, out: &mut Vec<u8>) {
        match (self.server, next) {
            (Server::Nginx, _) => out.extend(b"GET /small HTTP/1.1\r\nHost: load\r\n\r\n"),
            (Server::Kv, _) => out.extend(format!("INCR load{}\n", self.number).as_bytes()),
            (Server::Beanstalkd, Next::Fresh) => {
                out.extend(b"put 0 0 60 16\r\n");
                out.extend(PAYLOAD);
                out.extend(b"\r\n");
            }
            (Server::Beanstalkd, Next::Delete(job)) => out.extend(format!("delete {job}\r\n").as_bytes()),
            (Server::Mosquitto, _) => {
                self.packet = self.packet % u16::MAX + 1;
                let topic = b"load";
                out.extend([0x32, short(2 + topic.len() + 2 + PAYLOAD.len()), 0, short(topic.len())]);
                out.extend(topic);
                out.extend(self.packet.to_be_bytes());
                out.extend(PAYLOAD);
            }
        }
    }

    /// The length of the reply at the start of `input` and what follows it; `None` while it is not whole.
    pub fn reply(&mut self, input: &[u8]) -> Result<Option<(usize, Next)>> {
        match self.server {
            Server::Nginx => self.page(input),
            Server::Mosquitto => {
                let Some(reply) = input.get(..4) else { return Ok(None) };
                ensure!(reply[..2] == [0x40, 2], "expected PUBACK, found {}", reply.escape_ascii());
                Ok(Some((4, Next::Fresh)))
            }
            Server::Beanstalkd | Server::Kv => {
                let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
                let line = std::str::from_utf8(&input[..end]).context("a reply in ASCII")?.trim_end();
                Ok(Some((end + 1, self.line(line)?)))
            }
        }
    }

    fn line(&mut self, line: &str) -> Result<Next> {
        if self.server == Server::Kv {
            let found: u64 = line.parse().with_context(|| format!("expected a number, found {line}"))?;
            // An earlier run may have counted too.
            let expected = self.counted.map_or(found, |counted| counted + 1);
            ensure!(found == expected, "expected {expected}, found {found}");
            self.counted = Some(found);
            return Ok(Next::Fresh);
        }
        match line.split_once(' ') {
            Some(("INSERTED", job)) => Ok(Next::Delete(job.parse()?)),
            None if line == "DELETED" => Ok(Next::Fresh),
            _ => bail!("expected INSERTED or DELETED, found {line}"),
        }
    }

    /// All replies are of one length: the date in them is.
    fn page(&mut self, input: &[u8]) -> Result<Option<(usize, Next)>> {
        if self.length.is_none() {
            let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
            let head = String::from_utf8_lossy(&input[..end]).into_owned();
            let body = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let body: usize = body.with_context(|| format!("no length in {head}"))?.parse()?;
            self.length = Some(end + 4 + body);
        }
        let Some(length) = self.length.filter(|&length| length <= input.len()) else { return Ok(None) };
        ensure!(input.starts_with(b"HTTP/1.1 200 "), "found {}", input[..length.min(200)].escape_ascii());
        Ok(Some((length, Next::Fresh)))
    }
}

/// A length of one byte.
fn short(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

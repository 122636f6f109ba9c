//! Client and model of the line protocol that both key-value servers speak (see their sources).
//!
//! Each session has keys of its own, whose values it knows at any time. All share one counter: no
//! two increments may give the same number, and none may be missing in the end. A token is a value
//! that only the server can know (random bytes, the time): once it is acknowledged it stays.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{External, SESSIONS, Session};
use crate::support::netcat::Netcat;
use crate::support::rng::Rng;
use crate::support::wire::Wire;

/// The counter that all sessions increment.
const SHARED: &str = "shared";

/// One connection, and the values of its keys.
pub(crate) struct KvSession {
    wire: Wire,
    prefix: String,
    values: BTreeMap<String, String>,
    /// What its increments of the shared counter returned.
    shared: Vec<u64>,
}

/// What the server must answer.
enum Reply {
    Line(String),
    Token(String),
    Shared,
}

impl KvSession {
    pub(crate) fn open(address: SocketAddr, index: usize) -> Result<Self> {
        Ok(Self {
            wire: Wire::connect(address, format!("session {index}"))?,
            prefix: format!("s{index}"),
            values: BTreeMap::new(),
            shared: Vec::new(),
        })
    }

    /// Adds a command to `requests` and does the same to the model.
    fn command(&mut self, rng: &mut Rng, requests: &mut String) -> Reply {
        let key = format!("{}:k{}", self.prefix, rng.below(6));
        let (request, reply) = match rng.below(16) {
            0..=3 => {
                let length = rng.length(60, 6_000);
                let value = rng.word(length);
                let request = format!("SET {key} {value}");
                self.values.insert(key, value);
                (request, Reply::Line("OK".to_owned()))
            }
            4..=6 => (format!("GET {key}"), Reply::Line(self.value(&key))),
            7 => {
                let held = self.values.remove(&key);
                let reply = held.map_or("NONE", |_| "DELETED");
                (format!("DEL {key}"), Reply::Line(reply.to_owned()))
            }
            8..=9 => {
                let value = rng.word(1 + rng.clone().index(20));
                let request = format!("APPEND {key} {value}");
                let held = self.values.entry(key).or_default();
                held.push_str(&value);
                (request, Reply::Line(format!("LENGTH {}", held.len())))
            }
            10 => (format!("INCR {key}"), Reply::Line(self.increment(key))),
            11..=12 => {
                let key = format!("{}:n{}", self.prefix, rng.below(3));
                (format!("INCR {key}"), Reply::Line(self.increment(key)))
            }
            13..=14 => (format!("INCR {SHARED}"), Reply::Shared),
            _ => {
                let key = format!("{}:t{}", self.prefix, rng.below(3));
                (format!("TOKEN {key}"), Reply::Token(key))
            }
        };
        requests.push_str(&request);
        requests.push('\n');
        reply
    }

    fn value(&self, key: &str) -> String {
        let held = self.values.get(key);
        held.map_or("NONE".to_owned(), |value| format!("VALUE {value}"))
    }

    fn increment(&mut self, key: String) -> String {
        let text = self.values.get(&key).map_or("0", String::as_str);
        let number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 18;
        let Some(number) = text.parse::<u64>().ok().filter(|_| number) else {
            return "ERROR not a number".to_owned();
        };
        self.values.insert(key, (number + 1).to_string());
        format!("INT {}", number + 1)
    }

    fn check(&mut self, reply: Reply) -> Result<()> {
        match reply {
            Reply::Line(line) => self.wire.expect(format!("{line}\n").as_bytes()),
            Reply::Token(key) => {
                let token = self.rest_after("VALUE ")?;
                let plain = |byte: u8| byte.is_ascii_hexdigit() || b".-".contains(&byte);
                ensure!(token.len() > 10 && token.bytes().all(plain), "no token: {token}");
                let before = self.values.insert(key, token.clone());
                ensure!(before.as_ref() != Some(&token), "{token} came twice");
                Ok(())
            }
            Reply::Shared => {
                let number = self.rest_after("INT ")?.parse().context("a number")?;
                let last = self.shared.last().copied().unwrap_or_default();
                ensure!(number > last, "the shared counter fell to {number}, {last}");
                self.shared.push(number);
                Ok(())
            }
        }
    }

    fn rest_after(&mut self, start: &str) -> Result<String> {
        let line = String::from_utf8(self.wire.line()?).context("a reply in ASCII")?;
        let rest = line.strip_prefix(start).and_then(|rest| rest.strip_suffix('\n'));
        let rest = rest.with_context(|| format!("expected {start}..., found {line}"))?;
        Ok(rest.to_owned())
    }
}

impl Session for KvSession {
    fn step(&mut self, rng: &mut Rng) -> Result<()> {
        let mut requests = String::new();
        // No other command uses a token's key: what the key holds is known only with the reply.
        let mut replies = Vec::new();
        for _ in 0..=rng.below(4) {
            let reply = self.command(rng, &mut requests);
            replies.push(reply);
        }
        self.wire.send(requests.as_bytes())?;
        replies.into_iter().try_for_each(|reply| self.check(reply))
    }

    fn longest_wait(&self) -> Duration {
        self.wire.longest_wait()
    }
}

/// Asks for every key by a new connection, checks the shared counter, closes the sessions.
pub(crate) fn conclude(address: SocketAddr, mut sessions: Vec<KvSession>) -> Result<()> {
    let mut audit = Wire::connect(address, "audit")?;
    for session in &sessions {
        for (key, value) in &session.values {
            audit.send(format!("GET {key}\n").as_bytes())?;
            let wanted = format!("VALUE {value}\n");
            audit.expect(wanted.as_bytes()).context(key.clone())?;
        }
    }
    let mut shared: Vec<u64> = sessions.iter_mut().flat_map(|it| it.shared.drain(..)).collect();
    shared.sort_unstable();
    let all: Vec<u64> = (1..=shared.len() as u64).collect();
    ensure!(shared == all, "increments lost or done twice: {shared:?} were returned");
    audit.send(format!("GET {SHARED}\n").as_bytes())?;
    audit.expect(format!("VALUE {}\n", shared.len()).as_bytes())?;
    audit.end()?;
    ensure!(sessions.len() == SESSIONS, "a session is missing");
    sessions.into_iter().try_for_each(|session| session.wire.end())
}

/// `nc`, with keys of its own.
pub(crate) struct KvNetcat {
    netcat: Netcat,
    log: String,
}

impl KvNetcat {
    pub(crate) fn connect(address: SocketAddr, dir: &Path) -> Result<Self> {
        let mut client = Self { netcat: Netcat::connect(address, dir)?, log: String::new() };
        client.append(0..20)?;
        client.netcat.answered()?;
        Ok(client)
    }

    fn append(&mut self, numbers: std::ops::Range<u32>) -> Result<()> {
        for number in numbers {
            write!(self.log, "[{number}]")?;
            let reply = format!("LENGTH {}\n", self.log.len());
            let request = format!("APPEND nc:log [{number}]\n");
            self.netcat.say(&request, &reply)?;
        }
        Ok(())
    }
}

impl External for KvNetcat {
    fn push(&mut self) -> Result<()> {
        self.append(20..40)
    }

    fn finish(mut self) -> Result<()> {
        self.append(40..60)?;
        let reply = format!("VALUE {}\n", self.log);
        self.netcat.say("GET nc:log\n", &reply)?;
        self.netcat.end()
    }
}

//! beanstalkd without a binlog: its queues live in memory only.
//!
//! Each session has a tube of its own and knows every job in it. Job numbers are given out by the
//! server to all: together they must be 1, 2, 3 ... without a gap, or a put was lost or done twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::{External, Server, Session};
use crate::support::installed;
use crate::support::netcat::Netcat;
use crate::support::program::Exit;
use crate::support::rng::Rng;
use crate::support::wire::Wire;

server_tests!(Beanstalkd);

/// Jobs that the external client puts before the sessions start.
const EXTERNAL_JOBS: u64 = 12;

pub(super) struct Beanstalkd {
    command: Vec<OsString>,
}

impl Server for Beanstalkd {
    const ON_SIGTERM: Exit = Exit::Signal(Signal::SIGTERM as i32);
    type Session = Worker;
    type External = NetcatWorker;

    fn prepare(address: SocketAddr, _dir: &Path) -> Result<Self> {
        let mut command = vec![installed("beanstalkd")?.into()];
        command.extend(["-l", "127.0.0.1", "-p"].map(OsString::from));
        command.push(address.port().to_string().into());
        Ok(Self { command })
    }

    fn command(&self) -> Vec<OsString> {
        self.command.clone()
    }

    fn open(&self, address: SocketAddr, index: usize) -> Result<Worker> {
        Worker::open(address, index)
    }

    fn external(&self, address: SocketAddr, dir: &Path) -> Result<NetcatWorker> {
        NetcatWorker::connect(address, dir)
    }

    fn conclude(&self, address: SocketAddr, workers: Vec<Worker>) -> Result<()> {
        let given: Vec<u64> = workers.iter().flat_map(|it| it.given.clone()).collect();
        let puts = EXTERNAL_JOBS + given.len() as u64;
        let unique: BTreeSet<u64> = given.into_iter().chain(1..=EXTERNAL_JOBS).collect();
        ensure!(unique.iter().copied().eq(1..=puts), "{puts} puts were acknowledged, with the numbers {unique:?}");
        let mut left = Vec::new();
        for worker in workers {
            // What a connection has reserved is ready again when it ends.
            worker.wire.end()?;
            left.push((worker.tube, worker.model));
        }
        let mut audit = Wire::connect(address, "audit")?;
        for (tube, model) in left {
            model.audit(&mut audit, &tube).context(tube)?;
        }
        audit.send(b"stats\r\n")?;
        let stats = reply_with_body(&mut audit, "OK ")?;
        let total = format!("total-jobs: {puts}\n");
        ensure!(stats.contains(&total), "not {total} but {stats}");
        audit.end()
    }
}

/// A job as its session knows it.
#[derive(Clone)]
struct Job {
    priority: u64,
    body: Vec<u8>,
}

/// What a tube holds, and what its session has reserved.
#[derive(Default)]
struct Tube {
    jobs: BTreeMap<u64, Job>,
    /// By (priority, number): the order in which jobs are handed out.
    ready: BTreeSet<(u64, u64)>,
    reserved: BTreeSet<u64>,
    buried: VecDeque<u64>,
}

impl Tube {
    fn reserve(&mut self) -> Vec<u8> {
        let Some((_, number)) = self.ready.pop_first() else {
            return b"TIMED_OUT\r\n".to_vec();
        };
        self.reserved.insert(number);
        self.show("RESERVED", number)
    }

    fn show(&self, word: &str, number: u64) -> Vec<u8> {
        let Some(job) = self.jobs.get(&number) else {
            return b"NOT_FOUND\r\n".to_vec();
        };
        let mut reply = format!("{word} {number} {}\r\n", job.body.len()).into_bytes();
        reply.extend_from_slice(&job.body);
        reply.extend_from_slice(b"\r\n");
        reply
    }

    fn delete(&mut self, number: u64) -> bool {
        let Some(job) = self.jobs.remove(&number) else {
            return false;
        };
        self.ready.remove(&(job.priority, number));
        self.reserved.remove(&number);
        self.buried.retain(|buried| *buried != number);
        true
    }

    /// Gives up a reserved job, with a new priority.
    fn give_up(&mut self, number: u64, priority: u64) -> bool {
        let reserved = self.reserved.remove(&number);
        if let Some(job) = self.jobs.get_mut(&number).filter(|_| reserved) {
            job.priority = priority;
        }
        reserved
    }

    fn kick(&mut self, bound: usize) -> usize {
        let kicked: Vec<u64> = self.buried.drain(..bound.min(self.buried.len())).collect();
        for number in &kicked {
            self.ready.insert((self.jobs[number].priority, *number));
        }
        kicked.len()
    }

    /// After the session has ended: takes every job out by `wire` and compares.
    fn audit(mut self, wire: &mut Wire, tube: &str) -> Result<()> {
        for number in std::mem::take(&mut self.reserved) {
            self.ready.insert((self.jobs[&number].priority, number));
        }
        wire.send(format!("watch {tube}\r\nignore default\r\nuse {tube}\r\n").as_bytes())?;
        wire.expect(format!("WATCHING 2\r\nWATCHING 1\r\nUSING {tube}\r\n").as_bytes())?;
        wire.send(b"kick 100000\r\n")?;
        let kicked = self.kick(usize::MAX);
        wire.expect(format!("KICKED {kicked}\r\n").as_bytes())?;
        for _ in 0..=self.jobs.len() {
            wire.send(b"reserve-with-timeout 0\r\n")?;
            wire.expect(&self.reserve())?;
        }
        wire.send(format!("watch default\r\nignore {tube}\r\n").as_bytes())?;
        wire.expect(b"WATCHING 2\r\nWATCHING 1\r\n")
    }
}

/// A producer and consumer on one connection.
pub(super) struct Worker {
    wire: Wire,
    tube: String,
    model: Tube,
    given: Vec<u64>,
}

/// What a request does to the model when its reply comes.
enum Effect {
    Put(Job),
    Reserve,
    Delete(u64),
    Release(u64, u64),
    Bury(u64, u64),
    Touch(u64),
    Peek(u64),
    Kick(usize),
}

impl Worker {
    fn open(address: SocketAddr, index: usize) -> Result<Self> {
        let tube = format!("tube-{index}");
        let mut wire = Wire::connect(address, format!("worker {index}"))?;
        wire.send(format!("use {tube}\r\nwatch {tube}\r\nignore default\r\n").as_bytes())?;
        wire.expect(format!("USING {tube}\r\nWATCHING 2\r\nWATCHING 1\r\n").as_bytes())?;
        Ok(Self { wire, tube, model: Tube::default(), given: Vec::new() })
    }

    /// A request, and what it will do.
    fn request(&self, rng: &mut Rng) -> (Vec<u8>, Effect) {
        let any = |rng: &mut Rng, numbers: Vec<u64>| match numbers.len() {
            0 => 1_000_000,
            length => numbers[rng.index(length)],
        };
        let job = |rng: &mut Rng| any(rng, self.model.jobs.keys().copied().collect());
        let held = |rng: &mut Rng| any(rng, self.model.reserved.iter().copied().collect());
        let priority = rng.below(5);
        let (line, effect) = match rng.below(16) {
            0..=5 => {
                let length = rng.length(300, 20_000) - 1;
                let body = rng.bytes(length);
                let mut request = format!("put {priority} 0 600 {length}\r\n").into_bytes();
                request.extend_from_slice(&body);
                request.extend_from_slice(b"\r\n");
                return (request, Effect::Put(Job { priority, body }));
            }
            6..=8 => ("reserve-with-timeout 0".to_owned(), Effect::Reserve),
            9..=10 => {
                let number = held(rng);
                (format!("delete {number}"), Effect::Delete(number))
            }
            11 => {
                let number = held(rng);
                let line = format!("release {number} {priority} 0");
                (line, Effect::Release(number, priority))
            }
            12 => {
                let number = held(rng);
                let line = format!("bury {number} {priority}");
                (line, Effect::Bury(number, priority))
            }
            13 => {
                let number = held(rng);
                (format!("touch {number}"), Effect::Touch(number))
            }
            14 => {
                let number = job(rng);
                (format!("peek {number}"), Effect::Peek(number))
            }
            _ => {
                let bound = 1 + rng.index(3);
                (format!("kick {bound}"), Effect::Kick(bound))
            }
        };
        (format!("{line}\r\n").into_bytes(), effect)
    }

    fn check(&mut self, effect: Effect) -> Result<()> {
        let model = &mut self.model;
        let done = |done: bool, word: &str| {
            let word = if done { word } else { "NOT_FOUND" };
            format!("{word}\r\n").into_bytes()
        };
        let reply = match effect {
            Effect::Put(job) => return self.inserted(job),
            Effect::Reserve => model.reserve(),
            Effect::Delete(number) => done(model.delete(number), "DELETED"),
            Effect::Release(number, priority) => {
                let released = model.give_up(number, priority);
                if released {
                    model.ready.insert((priority, number));
                }
                done(released, "RELEASED")
            }
            Effect::Bury(number, priority) => {
                let buried = model.give_up(number, priority);
                if buried {
                    model.buried.push_back(number);
                }
                done(buried, "BURIED")
            }
            Effect::Touch(number) => done(model.reserved.contains(&number), "TOUCHED"),
            Effect::Peek(number) => model.show("FOUND", number),
            Effect::Kick(bound) => format!("KICKED {}\r\n", model.kick(bound)).into_bytes(),
        };
        self.wire.expect(&reply)
    }

    fn inserted(&mut self, job: Job) -> Result<()> {
        let line = String::from_utf8(self.wire.line()?).context("a reply in ASCII")?;
        let number = line
            .strip_prefix("INSERTED ")
            .and_then(|rest| rest.strip_suffix("\r\n"))
            .and_then(|number| number.parse::<u64>().ok())
            .with_context(|| format!("expected INSERTED, found {line}"))?;
        let last = self.given.last().copied().unwrap_or(EXTERNAL_JOBS);
        ensure!(number > last, "job {number} was put after job {last}");
        self.given.push(number);
        self.model.ready.insert((job.priority, number));
        self.model.jobs.insert(number, job);
        Ok(())
    }
}

impl Session for Worker {
    fn step(&mut self, rng: &mut Rng) -> Result<()> {
        let count = 1 + rng.index(4);
        let requests: Vec<_> = (0..count).map(|_| self.request(rng)).collect();
        let (bytes, effects): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        self.wire.send(&bytes.concat())?;
        effects.into_iter().try_for_each(|effect| self.check(effect))
    }

    fn longest_wait(&self) -> Duration {
        self.wire.longest_wait()
    }
}

/// A line `WORD length` and a body of that length.
fn reply_with_body(wire: &mut Wire, word: &str) -> Result<String> {
    let line = String::from_utf8(wire.line()?).context("a reply in ASCII")?;
    let length = line.trim_end().strip_prefix(word);
    let length = length.and_then(|length| length.parse::<usize>().ok());
    let length = length.with_context(|| format!("expected {word}, found {line}"))?;
    let mut body = String::from_utf8(wire.take(length + 2)?).context("a body in ASCII")?;
    body.truncate(length);
    Ok(body)
}

/// `nc`: it puts its jobs first, and takes them out one by one later.
pub(super) struct NetcatWorker {
    netcat: Netcat,
}

impl NetcatWorker {
    fn connect(address: SocketAddr, dir: &Path) -> Result<Self> {
        let mut netcat = Netcat::connect(address, dir)?;
        netcat.say("use nc\r\n", "USING nc\r\n")?;
        netcat.say("watch nc\r\nignore default\r\n", "WATCHING 2\r\nWATCHING 1\r\n")?;
        for number in 1..=EXTERNAL_JOBS {
            let request = format!("put 1 0 600 5\r\njob{number:02}\r\n");
            netcat.say(&request, &format!("INSERTED {number}\r\n"))?;
        }
        netcat.answered()?;
        Ok(Self { netcat })
    }

    fn take(&mut self, numbers: std::ops::RangeInclusive<u64>) -> Result<()> {
        for number in numbers {
            let reply = format!("RESERVED {number} 5\r\njob{number:02}\r\nDELETED\r\n");
            let request = format!("reserve\r\ndelete {number}\r\n");
            self.netcat.say(&request, &reply)?;
        }
        Ok(())
    }
}

impl External for NetcatWorker {
    fn push(&mut self) -> Result<()> {
        self.take(1..=EXTERNAL_JOBS / 2)
    }

    fn finish(mut self) -> Result<()> {
        self.take(EXTERNAL_JOBS / 2 + 1..=EXTERNAL_JOBS)?;
        self.netcat.say("peek-ready\r\n", "NOT_FOUND\r\n")?;
        self.netcat.end()
    }
}

//! mosquitto: publishers and subscribers on the same connections.
//!
//! A session's publications come back to it in order, and each is acknowledged. From every other
//! session it gets the common topic's messages in the order in which that one published them, none
//! missing, none twice. The broker numbers what it delivers to a connection 1, 2, 3 ...

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{External, SESSIONS, Server, Session};
use crate::support::installed;
use crate::support::program::{Exit, Program};
use crate::support::rng::Rng;

use mqtt::{Connection, Packet};

mod mqtt;

server_tests!(Mosquitto);

/// Messages of `mosquitto_pub`.
const PROBES: u32 = 60;

/// The retained message that comes before them.
const READY: &str = "ready";

pub(super) struct Mosquitto {
    command: Vec<OsString>,
}

impl Server for Mosquitto {
    const ON_SIGTERM: Exit = Exit::Code(0);
    type Session = Member;
    type External = PubSub;

    fn prepare(address: SocketAddr, dir: &Path) -> Result<Self> {
        let configuration = dir.join("mosquitto.conf");
        let text = format!(
            "listener {} {}
allow_anonymous true
persistence false
log_dest stderr
max_inflight_messages 0
max_queued_messages 0
",
            address.port(),
            address.ip()
        );
        fs::write(&configuration, text)?;
        let mut command = vec![installed("mosquitto")?.into(), "-c".into()];
        command.push(configuration.into());
        Ok(Self { command })
    }

    fn command(&self) -> Vec<OsString> {
        self.command.clone()
    }

    fn open(&self, address: SocketAddr, index: usize) -> Result<Member> {
        Member::open(address, index)
    }

    fn external(&self, address: SocketAddr, dir: &Path) -> Result<PubSub> {
        PubSub::connect(address, dir)
    }

    fn conclude(&self, address: SocketAddr, mut members: Vec<Member>) -> Result<()> {
        let published: Vec<u64> = members.iter().map(|it| it.published).collect();
        for member in &mut members {
            while member.heard != published {
                let packet = member.connection.receive()?;
                member.foreign(&packet)?;
            }
        }
        // What is kept for late subscribers is the last that was acknowledged.
        let mut audit = Connection::open(address, "audit")?;
        for member in &members {
            let Some(kept) = &member.kept else { continue };
            audit.subscribe(&[&keep_topic(member.index)])?;
            let packet = audit.receive()?;
            let Packet::Publish(found) = packet else {
                bail!("instead of a retained message: {packet:?}");
            };
            ensure!(found.retained && found.payload == *kept, "retained: {found:?}");
        }
        audit.disconnect()?;
        let mut connections = members.into_iter().map(|member| member.connection);
        connections.try_for_each(Connection::disconnect)
    }
}

const COMMON: &str = "common";

fn own_topic(index: usize) -> String {
    format!("own/{index}")
}

fn keep_topic(index: usize) -> String {
    format!("keep/{index}")
}

/// What member `index` publishes on the common topic as number `number`.
fn common_payload(index: usize, number: u64) -> Vec<u8> {
    let mut rng = Rng::part(index as u64, number);
    let mut payload = format!("{index} {number} ").into_bytes();
    let length = rng.length(100, 9_000);
    payload.extend(rng.bytes(length));
    payload
}

/// A publisher and subscriber.
pub(super) struct Member {
    connection: Connection,
    index: usize,
    /// Messages published on the common topic, and how many came from each member.
    published: u64,
    heard: Vec<u64>,
    kept: Option<Vec<u8>>,
}

/// What has to come back for what a step has sent, each list in its order.
#[derive(Default)]
struct Due {
    acknowledgements: Vec<u16>,
    own: Vec<Vec<u8>>,
    pongs: usize,
    common_until: u64,
}

impl Due {
    fn nothing(&self, member: &Member) -> bool {
        self.acknowledgements.is_empty()
            && self.own.is_empty()
            && self.pongs == 0
            && member.heard[member.index] == self.common_until
    }
}

impl Member {
    fn open(address: SocketAddr, index: usize) -> Result<Self> {
        let mut connection = Connection::open(address, &format!("member{index}"))?;
        connection.subscribe(&[&own_topic(index), COMMON])?;
        Ok(Self { connection, index, published: 0, heard: vec![0; SESSIONS], kept: None })
    }

    fn publish(&mut self, rng: &mut Rng, due: &mut Due) -> Result<()> {
        let length = rng.length(100, 9_000);
        let payload = rng.bytes(length);
        match rng.below(8) {
            0..=2 => {
                let number = self.connection.publish(&own_topic(self.index), &payload, false)?;
                due.acknowledgements.push(number);
                due.own.push(payload);
            }
            3..=4 => {
                let payload = common_payload(self.index, self.published);
                self.published += 1;
                let number = self.connection.publish(COMMON, &payload, false)?;
                due.acknowledgements.push(number);
            }
            5 => {
                self.connection.publish_unacknowledged(&own_topic(self.index), &payload)?;
                due.own.push(payload);
            }
            6 => {
                let topic = keep_topic(self.index);
                let number = self.connection.publish(&topic, &payload, true)?;
                due.acknowledgements.push(number);
                self.kept = Some(payload);
            }
            _ => {
                self.connection.ping()?;
                due.pongs += 1;
            }
        }
        Ok(())
    }

    /// Takes a packet that this session's requests have caused, or another session's.
    fn take(&mut self, packet: &Packet, due: &mut Due) -> Result<()> {
        match packet {
            Packet::PubAck(number) => {
                ensure!(
                    due.acknowledgements.first() == Some(number),
                    "acknowledged is {number}, due are {:?}",
                    due.acknowledgements
                );
                due.acknowledgements.remove(0);
            }
            Packet::PingResp => {
                ensure!(due.pongs > 0, "a ping response that nobody asked for");
                due.pongs -= 1;
            }
            Packet::Publish(message) if message.topic == own_topic(self.index) => {
                ensure!(
                    due.own.first() == Some(&message.payload) && !message.retained,
                    "{} own messages are due, found {message:?}",
                    due.own.len()
                );
                due.own.remove(0);
            }
            other => self.foreign(other)?,
        }
        Ok(())
    }

    /// A message on the common topic: the next one from whoever published it.
    fn foreign(&mut self, packet: &Packet) -> Result<()> {
        let Packet::Publish(message) = packet else {
            bail!("{packet:?} is not due");
        };
        let sender = (0..SESSIONS)
            .find(|peer| message.payload.starts_with(format!("{peer} ").as_bytes()) && message.topic == COMMON);
        let sender = sender.with_context(|| format!("nobody published {message:?}"))?;
        let wanted = common_payload(sender, self.heard[sender]);
        ensure!(
            message.payload == wanted,
            "number {} of member {sender} is due, found {message:?}",
            self.heard[sender]
        );
        self.heard[sender] += 1;
        Ok(())
    }
}

impl Session for Member {
    fn step(&mut self, rng: &mut Rng) -> Result<()> {
        let mut due = Due::default();
        for _ in 0..=rng.below(3) {
            self.publish(rng, &mut due)?;
        }
        due.common_until = self.published;
        self.connection.flush()?;
        while !due.nothing(self) {
            let packet = self.connection.receive()?;
            self.take(&packet, &mut due).with_context(|| format!("member {}", self.index))?;
        }
        Ok(())
    }

    fn longest_wait(&self) -> Duration {
        self.connection.longest_wait()
    }
}

/// `mosquitto_sub` and `mosquitto_pub -l`, which publishes each line that it is fed.
pub(super) struct PubSub {
    subscriber: Program,
    publisher: Program,
    fed: u32,
}

impl PubSub {
    fn connect(address: SocketAddr, dir: &Path) -> Result<Self> {
        let client = |name: &str| -> Result<Command> {
            let mut command = Command::new(installed(name)?);
            command.args(["-q", "1", "-t", "probe", "-i", name]);
            command.arg("-h").arg(address.ip().to_string());
            command.arg("-p").arg(address.port().to_string());
            Ok(command)
        };
        // A subscriber gets the retained message once its subscription is there.
        let mut retain = client("mosquitto_pub")?;
        retain.args(["-r", "-m", READY]);
        let exit = Program::start("mosquitto_pub", &mut retain, dir)?.wait()?;
        ensure!(exit == Exit::Code(0), "mosquitto_pub ended with {exit:?}");
        let mut subscribe = client("mosquitto_sub")?;
        // -d: its debug output tells how often it has connected.
        subscribe.args(["-d", "-F", "probe %p", "-C", &(PROBES + 1).to_string()]);
        let mut subscriber = Program::start("mosquitto_sub", &mut subscribe, dir)?;
        let ready = |printed: &[u8]| String::from_utf8_lossy(printed).contains(READY);
        subscriber.wait_stdout(READY, ready)?;
        let mut publish = client("mosquitto_pub")?;
        let publisher = Program::start_fed("mosquitto_pub", publish.arg("-l"), dir)?;
        let mut both = Self { subscriber, publisher, fed: 0 };
        both.feed(PROBES / 3)?;
        both.arrived()?;
        Ok(both)
    }

    fn feed(&mut self, count: u32) -> Result<()> {
        for _ in 0..count {
            self.publisher.feed(format!("{}\n", self.fed).as_bytes())?;
            self.fed += 1;
        }
        Ok(())
    }

    /// Waits until the subscriber has printed all that the publisher was fed, and compares.
    fn arrived(&mut self) -> Result<()> {
        let probes = |printed: &[u8]| -> Vec<String> {
            let text = String::from_utf8_lossy(printed).into_owned();
            let probes = text.lines().filter_map(|line| line.strip_prefix("probe "));
            let probes = probes.filter(|probe| *probe != READY);
            probes.map(str::to_owned).collect()
        };
        let all = self.fed as usize;
        let enough = |printed: &[u8]| probes(printed).len() >= all;
        self.subscriber.wait_stdout("every probe", enough)?;
        let found = probes(&self.subscriber.stdout()?);
        let wanted: Vec<_> = (0..self.fed).map(|number| number.to_string()).collect();
        ensure!(found == wanted, "mosquitto_sub printed {found:?}");
        Ok(())
    }
}

impl External for PubSub {
    fn push(&mut self) -> Result<()> {
        self.feed(PROBES / 3)
    }

    fn finish(mut self) -> Result<()> {
        self.feed(PROBES / 3)?;
        self.arrived()?;
        self.publisher.end_input();
        for program in [&mut self.publisher, &mut self.subscriber] {
            let exit = program.wait()?;
            ensure!(exit == Exit::Code(0), "a client ended with {exit:?}");
            // A client that had to connect again says so.
            let said = program.stderr()?;
            ensure!(said.is_empty(), "a client said {}", said.escape_ascii());
        }
        let log = String::from_utf8_lossy(&self.subscriber.stdout()?).into_owned();
        let connects = log.matches("sending CONNECT").count();
        ensure!(connects == 1, "mosquitto_sub connected {connects} times");
        Ok(())
    }
}

//! Runs the pair's state machine: hands it events and the time, carries out what it says.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::arbiter::{Arbiter, Claim};
use common::ids::Epoch;
use common::orders::Role;
use common::pair::heartbeat::{HEARTBEAT_LEN, Heartbeat};
use common::pair::state::{Action, Answer, Event, Pair, Reason};

/// A check of the arbiter's silence must not be louder than this.
const IDLE: Duration = Duration::from_secs(3600);

/// What a replica does when its pair says so. Claims are made by the monitor itself.
pub trait Replica {
    /// Carries out one action other than Claim and `EndSelf`.
    fn act(&mut self, action: Action, epoch: Epoch);
    /// The replica is to end; the monitor stops after this.
    fn end(&mut self, reason: Reason);
}

/// Runs until the pair ends. Events come from `events`; the sender's end must be kept open by the caller.
pub fn run(
    mut pair: Pair,
    events: &Receiver<Event>,
    arbiter: &mut dyn Arbiter,
    claim: &Claim,
    replica: &mut dyn Replica,
) {
    let start = Instant::now();
    // Claims are repeated many times a second; what is wrong is said once.
    let mut told = None;
    loop {
        let now = start.elapsed();
        let wait = pair.deadline().map_or(IDLE, |deadline| deadline.saturating_sub(now));
        let event = match events.recv_timeout(wait) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Tick,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut pending = vec![event];
        while let Some(event) = pending.pop() {
            for action in pair.handle(start.elapsed(), event) {
                match action {
                    Action::Claim(epoch) => {
                        let answer = arbiter.claim(epoch, claim);
                        let trouble = answer.as_ref().err().map(ToString::to_string);
                        if let Some(error) = trouble.as_ref().filter(|_| trouble != told) {
                            crate::say!(
                                "epoch {epoch} cannot be claimed: {error}; asking again until the arbiter answers"
                            );
                        }
                        told = trouble;
                        pending.push(Event::ClaimResult(Answer::from(answer)));
                    }
                    Action::EndSelf(reason) => {
                        replica.end(reason);
                        return;
                    }
                    other => replica.act(other, pair.epoch()),
                }
            }
        }
    }
}

/// Heartbeats beside the channel.
#[derive(Debug, Clone)]
pub struct Beside {
    socket: Arc<UdpSocket>,
    peer: Arc<Mutex<Option<SocketAddr>>>,
    counter: u64,
}

impl Beside {
    /// Sends to `peer`, or to whoever a heartbeat comes from; each that is heard becomes an event.
    ///
    /// # Errors
    /// When the thread that listens cannot be started.
    pub fn start(
        socket: UdpSocket,
        peer: Option<SocketAddr>,
        log_id: u64,
        events: Sender<Event>,
    ) -> std::io::Result<Self> {
        let beside = Self { socket: Arc::new(socket), peer: Arc::new(Mutex::new(peer)), counter: 0 };
        let (socket, peer) = (Arc::clone(&beside.socket), Arc::clone(&beside.peer));
        std::thread::Builder::new().name("heartbeats".into()).spawn(move || {
            let mut buffer = [0; HEARTBEAT_LEN + 1];
            let mut last = 0;
            loop {
                // An ICMP error of an earlier send shows here; the next datagram decides.
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                match Heartbeat::decode(&buffer[..len]) {
                    Ok(heard) if heard.log_id == log_id && heard.counter > last => {
                        last = heard.counter;
                        peer.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(from);
                        if events.send(Event::HeardBeside).is_err() {
                            return;
                        }
                    }
                    _ => {}
                }
            }
        })?;
        Ok(beside)
    }

    /// Sends one.
    pub fn send(&mut self, log_id: u64, epoch: Epoch, role: Role) {
        self.counter += 1;
        let datagram = Heartbeat { log_id, epoch, role, counter: self.counter }.encode();
        if let Some(peer) = *self.peer.lock().unwrap_or_else(PoisonError::into_inner) {
            // A lost heartbeat is what heartbeats are for.
            let _ = self.socket.send_to(&datagram, peer);
        }
    }
}

//! When a replica goes on alone: the state machine of one end of the pair, without I/O.
//!
//! The caller hands in what happened ([`Event`]) with the time, and carries out what comes back ([`Action`]), in order and one
//! after the other. Time is any clock of this replica that never goes back; two replicas' clocks are never compared.
//!
//! ```text
//! primary  Alone -> Syncing -> Paired -> Promoting -> Solo -> Ended
//! backup   Alone -> Syncing -> Paired -> Promoting -> Live -> Ended
//! ```
//!
//! **Who suspects** the other (no heartbeat for the timeout; less when the channel is closed, which alone proves nothing; more
//! when only the channel is silent) claims the next epoch. Both claim the same one, so that at most one of them wins it. **Who loses ends.** An answer that
//! did not come is unknown: the same epoch is claimed again, and meanwhile nothing is done that needs it. There is no way
//! back from a claim, since it may have been won.
//!
//! **A backup** does, in this order: stop acknowledging, win the epoch, drain, go live, tell the proxy. Stopping comes first
//! because only the backup releases the primary's output: from then on the old primary cannot be heard, though it may
//! live. Draining comes before going live because what was acknowledged may have been released.
//!
//! **A primary** goes on alone as soon as it won: it has executed all of its log. Once it has a backup it needs an epoch even
//! if that one never said that it is in step, because it may be.
//!
//! **A clean exit** of the server is a record of the log and no failure: the backup executes it, releases everything and ends,
//! and so does the primary when it hears of that. Should the peer die meanwhile, the other still needs the epoch to release
//! the rest.
//!
//! What this cannot give: when a healthy replica is suspected, and the one that won dies before the other found out that it
//! lost, none is left. That takes two faults at once; the alternative would be two primaries.

use std::fmt;
use std::time::Duration;

use crate::arbiter::{Claim, Verdict};
use crate::ids::Epoch;

/// What a replica was started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Runs the server and writes the log.
    Primary,
    /// Replays the log and releases output.
    Backup,
}

/// Where a replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Has no peer and had none. A primary acts by the epoch that it started with.
    Alone,
    /// The backup is being given the snapshot.
    Syncing,
    /// The backup is in step: it holds and replays the log, and releases output.
    Paired,
    /// The peer is suspected: an epoch is claimed; then, at a backup, the log is drained and the server made to live.
    Promoting,
    /// A primary that acts alone, by a won epoch.
    Solo,
    /// A backup that has become the one that acts, by a won epoch.
    Live,
    /// Nothing more is done.
    Ended,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The handshake succeeded. At a primary: before it sends `Start`.
    PeerConnected,
    /// The backup is restored: at the backup when it is, at the primary when it hears so.
    InStep,
    /// Something of the peer came through the channel.
    HeartbeatHeard,
    /// A heartbeat of the peer came beside the channel.
    HeardBeside,
    /// The channel failed or was closed by the peer.
    ChannelClosed,
    /// Time has passed. Due at [`Pair::deadline`]; earlier is harmless.
    Tick,
    /// The answer to [`Action::Claim`].
    ClaimResult(Answer),
    /// [`Action::Drain`] is done: every record in hand is executed, and none of them was the End record.
    Drained,
    /// [`Action::GoLive`] is done.
    WentLive,
    /// The server has ended: at a backup, its End record is executed.
    ServerEnded,
    /// The peer says that it ends: after the server's end, or because it cannot go on.
    PeerEnded,
    /// The backup's execution differs from the log.
    Diverged,
}

/// What the arbiter answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It answered.
    Verdict(Verdict),
    /// It did not answer, or with an error: the claim may have been won.
    Unknown,
}

impl<E> From<Result<Verdict, E>> for Answer {
    fn from(outcome: Result<Verdict, E>) -> Self {
        outcome.map_or(Self::Unknown, Self::Verdict)
    }
}

/// What the caller is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Acknowledge nothing more and give no more release orders; when this is done, no other thread of the replica does.
    StopAcknowledging,
    /// Claim this epoch at the arbiter; answer with [`Event::ClaimResult`].
    Claim(Epoch),
    /// Take nothing more from the channel, execute every record in hand; answer with [`Event::Drained`], or with
    /// [`Event::ServerEnded`] when the End record was among them.
    Drain,
    /// Make real kernel objects from the model; answer with [`Event::WentLive`].
    GoLive,
    /// Tell the proxy who acts now: epoch and address.
    TellProxy,
    /// Write the log without a backup; output needs no release.
    GoSolo,
    /// End this replica.
    EndSelf(Reason),
    /// Send a heartbeat on the channel and one beside it.
    SendHeartbeat,
}

/// Why a replica ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server has ended: release what is left, tell proxy and peer, and end with the server's status.
    ServerEnded,
    /// Another holds the epoch.
    Lost {
        /// What was claimed.
        epoch: Epoch,
        /// Who holds it or a higher one.
        holder: Claim,
    },
    /// The primary was lost before the backup was in step.
    SyncFailed,
    /// The execution differs from the log.
    Diverged,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerEnded => f.write_str("the server has ended"),
            Self::Lost { epoch, holder } => {
                write!(f, "epoch {epoch} went to {holder}, which acts for the service now")
            }
            Self::SyncFailed => f.write_str("the primary was lost before the backup was in step"),
            Self::Diverged => f.write_str("the execution differs from the log"),
        }
    }
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats, and before an unanswered claim is repeated.
    pub heartbeat: Duration,
    /// Without a heartbeat until the peer is suspected.
    pub timeout: Duration,
    /// The same once the channel is closed; heartbeats beside it put that off, at most to the timeout after it closed.
    pub grace: Duration,
    /// Without anything through the channel until it is taken for closed although the peer lives: no log gets through
    /// it, and clients wait. Long, because a frame says nothing before it is complete.
    pub stall: Duration,
}

impl Timing {
    /// With what goes with them: a grace of two heartbeats, a stall of ten timeouts.
    #[must_use]
    pub fn new(heartbeat: Duration, timeout: Duration) -> Self {
        Self { heartbeat, timeout, grace: timeout.min(heartbeat * 2), stall: timeout * 10 }
    }
}

/// Rules that a test switches off to show that they are needed.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Acts without an epoch.
    pub skip_claim: bool,
    /// Goes live without executing what was acknowledged.
    pub skip_drain: bool,
    /// Goes on acknowledging while it claims.
    pub keep_acknowledging: bool,
}

/// One end of the pair.
#[derive(Debug, Clone)]
pub struct Pair {
    part: Part,
    state: State,
    epoch: Epoch,
    timing: Timing,
    /// When the peer last gave a sign of life, on the channel or beside it.
    heard: Duration,
    /// When something last came through the channel.
    came_through: Duration,
    closed: Option<Duration>,
    next_heartbeat: Duration,
    promotion: Promotion,
    server_ended: bool,
    faults: Faults,
}

/// How far a promotion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promotion {
    /// Not begun, or over.
    None,
    /// The answer is awaited.
    Asked,
    /// The answer is unknown: ask again at this time.
    AskAgain(Duration),
    /// The epoch is won, the log is being drained.
    Draining,
    /// The log is drained, the server is being made to live.
    GoingLive,
}

impl Pair {
    /// A primary that won `epoch` when it started.
    #[must_use]
    pub fn primary(epoch: Epoch, timing: Timing) -> Self {
        Self::new(Part::Primary, epoch, timing)
    }

    /// The backup of a primary that acts in `epoch`, as its Hello says and the arbiter confirms.
    #[must_use]
    pub fn backup(epoch: Epoch, timing: Timing) -> Self {
        Self::new(Part::Backup, epoch, timing)
    }

    fn new(part: Part, epoch: Epoch, timing: Timing) -> Self {
        Self {
            part,
            state: State::Alone,
            epoch,
            timing,
            heard: Duration::ZERO,
            came_through: Duration::ZERO,
            closed: None,
            next_heartbeat: Duration::ZERO,
            promotion: Promotion::None,
            server_ended: false,
            faults: Faults::default(),
        }
    }

    /// Switches rules off. For tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// What this replica was started as.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The epoch that it acts in, or follows.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether a backup may acknowledge the log and give release orders.
    #[must_use]
    pub fn may_acknowledge(&self) -> bool {
        let promoting = self.faults.keep_acknowledging && self.state == State::Promoting;
        self.part == Part::Backup && (self.state == State::Paired || promoting)
    }

    /// Whether the output of the server that this replica runs needs no release by another.
    #[must_use]
    pub fn acts(&self) -> bool {
        match self.state {
            State::Alone => self.part == Part::Primary,
            State::Solo | State::Live => true,
            State::Syncing | State::Paired | State::Promoting | State::Ended => false,
        }
    }

    /// When the next [`Event::Tick`] is due, if ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match (self.state, self.promotion) {
            (State::Syncing | State::Paired, _) => Some(self.next_heartbeat.min(self.suspect_at())),
            (State::Promoting, Promotion::AskAgain(at)) => Some(at),
            _ => None,
        }
    }

    fn suspect_at(&self) -> Duration {
        let silent = self.heard + self.timing.timeout;
        match self.closed {
            None => silent.min(self.came_through + self.timing.stall),
            Some(closed) => silent.min(closed + self.timing.timeout).min(self.heard.max(closed) + self.timing.grace),
        }
    }

    /// Takes what happened and tells what to do, in this order.
    pub fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        let paired = matches!(self.state, State::Syncing | State::Paired);
        match event {
            _ if self.state == State::Ended => Vec::new(),
            Event::PeerConnected if self.state == State::Alone => {
                self.state = State::Syncing;
                self.heard = now;
                self.came_through = now;
                self.next_heartbeat = now;
                Vec::new()
            }
            Event::InStep if self.state == State::Syncing => {
                self.state = State::Paired;
                self.heard = now;
                self.came_through = now;
                Vec::new()
            }
            Event::HeartbeatHeard => {
                self.heard = self.heard.max(now);
                self.came_through = self.came_through.max(now);
                Vec::new()
            }
            Event::HeardBeside => {
                self.heard = self.heard.max(now);
                Vec::new()
            }
            Event::ChannelClosed if paired => {
                self.closed.get_or_insert(now);
                Vec::new()
            }
            Event::Tick => self.tick(now),
            Event::ClaimResult(answer) => self.claim_result(now, answer),
            Event::Drained if self.promotion == Promotion::Draining => {
                self.promotion = Promotion::GoingLive;
                vec![Action::GoLive]
            }
            Event::WentLive if self.promotion == Promotion::GoingLive => {
                self.promotion = Promotion::None;
                self.state = State::Live;
                vec![Action::TellProxy]
            }
            Event::ServerEnded => self.server_ended(),
            Event::PeerEnded if paired && self.server_ended => self.end(Reason::ServerEnded),
            Event::PeerEnded if paired => self.lose_peer(),
            Event::Diverged => {
                let mut actions = vec![Action::StopAcknowledging];
                actions.extend(self.end(Reason::Diverged));
                actions
            }
            // Late or repeated news.
            _ => Vec::new(),
        }
    }

    fn tick(&mut self, now: Duration) -> Vec<Action> {
        match (self.state, self.promotion) {
            (State::Syncing | State::Paired, _) if now >= self.suspect_at() => self.lose_peer(),
            (State::Syncing | State::Paired, _) if now >= self.next_heartbeat => {
                self.next_heartbeat = now + self.timing.heartbeat;
                vec![Action::SendHeartbeat]
            }
            (State::Promoting, Promotion::AskAgain(at)) if now >= at => {
                self.promotion = Promotion::Asked;
                vec![Action::Claim(self.claimed())]
            }
            _ => Vec::new(),
        }
    }

    /// The epoch that is claimed when the peer is lost: the same at both ends.
    fn claimed(&self) -> Epoch {
        Epoch(self.epoch.0 + 1)
    }

    fn lose_peer(&mut self) -> Vec<Action> {
        if self.part == Part::Backup && self.state == State::Syncing {
            return self.end(Reason::SyncFailed);
        }
        self.state = State::Promoting;
        self.promotion = Promotion::Asked;
        let mut actions = Vec::new();
        if self.part == Part::Backup && !self.faults.keep_acknowledging {
            actions.push(Action::StopAcknowledging);
        }
        if self.faults.skip_claim {
            actions.extend(self.won());
        } else {
            actions.push(Action::Claim(self.claimed()));
        }
        actions
    }

    fn claim_result(&mut self, now: Duration, answer: Answer) -> Vec<Action> {
        if !matches!(self.promotion, Promotion::Asked | Promotion::AskAgain(_)) {
            return Vec::new();
        }
        match answer {
            Answer::Verdict(Verdict::Won) => self.won(),
            Answer::Verdict(Verdict::Lost(holder)) => self.end(Reason::Lost { epoch: self.claimed(), holder }),
            Answer::Unknown => {
                self.promotion = Promotion::AskAgain(now + self.timing.heartbeat);
                Vec::new()
            }
        }
    }

    fn won(&mut self) -> Vec<Action> {
        self.epoch = self.claimed();
        match self.part {
            Part::Primary => {
                self.promotion = Promotion::None;
                self.state = State::Solo;
                let mut actions = vec![Action::GoSolo, Action::TellProxy];
                if self.server_ended {
                    actions.extend(self.end(Reason::ServerEnded));
                }
                actions
            }
            Part::Backup if self.server_ended => self.end_promoted(),
            Part::Backup if self.faults.skip_drain => {
                self.promotion = Promotion::GoingLive;
                vec![Action::GoLive]
            }
            Part::Backup => {
                self.promotion = Promotion::Draining;
                vec![Action::Drain]
            }
        }
    }

    fn server_ended(&mut self) -> Vec<Action> {
        match (self.part, self.state, self.promotion) {
            (_, State::Alone | State::Solo | State::Live, _) | (Part::Backup, State::Paired, _) => {
                self.end(Reason::ServerEnded)
            }
            (Part::Backup, State::Promoting, Promotion::Draining | Promotion::GoingLive) => self.end_promoted(),
            _ => {
                self.server_ended = true;
                Vec::new()
            }
        }
    }

    /// The epoch is won, and the End record was the last of the log: there is nothing to make live.
    fn end_promoted(&mut self) -> Vec<Action> {
        let mut actions = vec![Action::TellProxy];
        actions.extend(self.end(Reason::ServerEnded));
        actions
    }

    fn end(&mut self, reason: Reason) -> Vec<Action> {
        self.state = State::Ended;
        self.promotion = Promotion::None;
        vec![Action::EndSelf(reason)]
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

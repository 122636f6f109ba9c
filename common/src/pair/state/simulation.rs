//! Two replicas, an arbiter, a network and their faults, in random schedules.
//!
//! The oracle is what clients see. An execution appends unique entries to its log; releasing output publishes a prefix of a
//! log. Two rules must hold at every step: all that is ever published is one history, and nothing of an execution is
//! published after another execution won a higher epoch. When the faults stop, exactly one replica must be left to serve.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::*;
use crate::ids::ReplicaId;

const PRIMARY: usize = 0;
const BACKUP: usize = 1;
/// The entry that the server's end leaves in the log.
const END: u64 = u64::MAX;

#[derive(Debug, Clone, Copy)]
enum Fate {
    Arrives,
    Twice,
    Lost,
}

/// What happens next. Indices are taken modulo what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Time passes at one replica; what it runs goes on.
    Pass { node: usize, ms: u64 },
    /// The oldest message to a replica arrives on the channel.
    Channel { to: usize },
    /// A datagram to a replica meets its fate, in any order.
    Datagram { to: usize, index: usize, fate: Fate },
    /// The channel breaks; what is under way is lost.
    Break,
    /// A replica notices that the channel is broken.
    Notice { node: usize },
    /// A claim reaches the arbiter and is answered.
    Claim { index: usize },
    /// A claim reaches the arbiter and the answer is lost.
    LoseAnswer { index: usize },
    /// A claim is delayed beyond the claimant's patience; it may still arrive.
    DelayClaim { index: usize },
    /// A delayed claim arrives after all.
    LateClaim { index: usize },
    /// The backup executes some records.
    Replay { count: usize },
    /// The backup is restored, or has gone live.
    Progress,
    /// The server exits.
    ServerEnds { node: usize },
    /// A replica is killed.
    Crash { node: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0usize..2;
    let fate = prop_oneof![4 => Just(Fate::Arrives), 1 => Just(Fate::Twice), 2 => Just(Fate::Lost)];
    prop_oneof![
        20 => (node.clone(), 1u64..40).prop_map(|(node, ms)| Step::Pass { node, ms }),
        20 => node.clone().prop_map(|to| Step::Channel { to }),
        6 => (node.clone(), 0usize..8, fate).prop_map(|(to, index, fate)| Step::Datagram { to, index, fate }),
        1 => Just(Step::Break),
        2 => node.clone().prop_map(|node| Step::Notice { node }),
        4 => (0usize..2).prop_map(|index| Step::Claim { index }),
        2 => (0usize..2).prop_map(|index| Step::LoseAnswer { index }),
        2 => (0usize..2).prop_map(|index| Step::DelayClaim { index }),
        1 => (0usize..4).prop_map(|index| Step::LateClaim { index }),
        6 => (0usize..4).prop_map(|count| Step::Replay { count }),
        6 => Just(Step::Progress),
        1 => node.clone().prop_map(|node| Step::ServerEnds { node }),
        1 => node.prop_map(|node| Step::Crash { node }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Message {
    Entry(u64),
    Heartbeat,
    Restored,
    Ended,
}

#[derive(Debug)]
struct Node {
    pair: Pair,
    now: Duration,
    running: bool,
    /// Every entry in hand; those below `executed` are executed.
    log: Vec<u64>,
    executed: usize,
    /// Its state is a whole one: the snapshot is restored.
    restored: bool,
    stopped: bool,
    draining: bool,
    going_live: bool,
}

#[derive(Debug)]
struct World {
    nodes: [Node; 2],
    /// Under way to each replica, in order; `None` once the channel is broken.
    channel: Option<[VecDeque<Message>; 2]>,
    datagrams: [usize; 2],
    claims: Vec<(usize, Epoch)>,
    delayed: Vec<(usize, Epoch)>,
    winners: BTreeMap<Epoch, usize>,
    published: Vec<u64>,
    next_entry: u64,
    crashes: usize,
    /// Something happened that no pair survives: see `crash`.
    hopeless: bool,
    violation: Option<String>,
}

impl World {
    fn new(faults: Faults) -> Self {
        let timing = Timing::new(Duration::from_millis(20), Duration::from_millis(100));
        let node = |pair: Pair| {
            let mut pair = pair.with_faults(faults);
            pair.handle(Duration::ZERO, Event::PeerConnected);
            Node {
                pair,
                now: Duration::ZERO,
                running: true,
                log: Vec::new(),
                executed: 0,
                restored: false,
                stopped: false,
                draining: false,
                going_live: false,
            }
        };
        Self {
            nodes: [node(Pair::primary(Epoch(1), timing)), node(Pair::backup(Epoch(1), timing))],
            channel: Some([VecDeque::new(), VecDeque::new()]),
            datagrams: [0, 0],
            claims: Vec::new(),
            delayed: Vec::new(),
            winners: BTreeMap::from([(Epoch(1), PRIMARY)]),
            published: Vec::new(),
            next_entry: 0,
            crashes: 0,
            hopeless: false,
            violation: None,
        }
    }

    fn violate(&mut self, what: impl Into<String>) {
        self.violation.get_or_insert(what.into());
    }

    /// Clients see the first `len` entries of a log, which `execution` made, released in `epoch`.
    fn publish(&mut self, node: usize, len: usize, execution: usize) {
        let epoch = self.nodes[node].pair.epoch();
        for at in 0..len {
            let entry = self.nodes[node].log[at];
            match self.published.get(at) {
                Some(&seen) if seen != entry => return self.violate("two histories were released"),
                Some(_) => {}
                None => {
                    self.published.push(entry);
                    if self.winners.range(Epoch(epoch.0 + 1)..).any(|(_, &winner)| winner != execution) {
                        return self.violate("output was released after another won a higher epoch");
                    }
                }
            }
        }
    }

    /// A replica that needs no release publishes all that it executed.
    fn act(&mut self, node: usize) {
        if self.winners.get(&self.nodes[node].pair.epoch()) != Some(&node) {
            self.violate("a replica acts in an epoch that it has not won");
        }
        self.publish(node, self.nodes[node].executed, node);
    }

    fn acknowledge(&mut self) {
        if self.nodes[BACKUP].running && self.nodes[BACKUP].pair.may_acknowledge() {
            if self.nodes[BACKUP].stopped {
                self.violate("a backup acknowledges after it stopped");
            }
            self.publish(BACKUP, self.nodes[BACKUP].log.len(), PRIMARY);
        }
    }

    fn send(&mut self, to: usize, message: Message) {
        if let Some(channel) = &mut self.channel {
            channel[to].push_back(message);
        }
    }

    fn event(&mut self, node: usize, event: Event) {
        if !self.nodes[node].running {
            return;
        }
        let now = self.nodes[node].now;
        for action in self.nodes[node].pair.handle(now, event) {
            self.carry_out(node, action);
        }
    }

    fn carry_out(&mut self, node: usize, action: Action) {
        match action {
            Action::StopAcknowledging => self.nodes[node].stopped = true,
            Action::Claim(epoch) => self.claims.push((node, epoch)),
            Action::Drain => self.nodes[node].draining = true,
            Action::GoLive => {
                if !self.nodes[node].restored {
                    self.violate("a replica goes live that is not restored");
                }
                let executed = self.nodes[node].executed;
                self.nodes[node].log.truncate(executed);
                self.nodes[node].going_live = true;
            }
            Action::GoSolo => self.act(node),
            Action::TellProxy => {}
            Action::SendHeartbeat => {
                self.datagrams[1 - node] += 1;
                self.send(1 - node, Message::Heartbeat);
            }
            Action::EndSelf(reason) => {
                if reason == Reason::ServerEnded && node == BACKUP {
                    self.publish(BACKUP, self.nodes[BACKUP].executed, PRIMARY);
                    self.send(PRIMARY, Message::Ended);
                }
                self.nodes[node].running = false;
            }
        }
    }

    /// What a running server does with its time.
    fn run_server(&mut self, node: usize, entry: u64) {
        let Node { pair, log, running, executed, .. } = &mut self.nodes[node];
        let runs = *running && (node == PRIMARY || pair.state() == State::Live) && log.last() != Some(&END);
        if !runs {
            return;
        }
        log.push(entry);
        *executed = log.len();
        if pair.acts() {
            self.act(node);
        } else {
            self.send(1 - node, Message::Entry(entry));
        }
        if entry == END {
            self.event(node, Event::ServerEnded);
        }
    }

    fn arrive(&mut self, to: usize) {
        let Some(message) = self.channel.as_mut().and_then(|channel| channel[to].pop_front()) else {
            return;
        };
        if !self.nodes[to].running {
            return;
        }
        match message {
            Message::Heartbeat => self.event(to, Event::HeartbeatHeard),
            Message::Restored => self.event(to, Event::InStep),
            Message::Ended => self.event(to, Event::PeerEnded),
            Message::Entry(entry) => {
                let pair = &self.nodes[to].pair;
                // While it is restored a backup keeps what comes; once it promotes itself it takes nothing more.
                if pair.state() == State::Syncing || pair.may_acknowledge() {
                    self.nodes[to].log.push(entry);
                    self.acknowledge();
                }
            }
        }
    }

    fn decide(&mut self, (node, epoch): (usize, Epoch)) -> Answer {
        let highest = *self.winners.keys().next_back().unwrap();
        if epoch.0 > highest.0 + 1 {
            return Answer::Unknown;
        }
        // A claim that arrives after its claimant died was made by one that suspected a peer: two faults at once.
        self.hopeless |= !self.winners.contains_key(&epoch) && !self.nodes[node].running;
        let winner = *self.winners.entry(epoch).or_insert(node);
        let holder = if winner == node { self.winners[&highest.max(epoch)] } else { winner };
        let claim = Claim { replica: ReplicaId(holder as u64), nonce: 0 };
        Answer::Verdict(if holder == node { Verdict::Won } else { Verdict::Lost(claim) })
    }

    fn take_claim(&mut self, index: usize) -> Option<(usize, Epoch)> {
        (!self.claims.is_empty()).then(|| self.claims.remove(index % self.claims.len()))
    }

    fn replay(&mut self, count: usize) {
        let Node { pair, running, log, executed, draining, going_live, .. } = &mut self.nodes[BACKUP];
        if !*running || !matches!(pair.state(), State::Paired | State::Promoting) || *going_live {
            return;
        }
        *executed = log.len().min(*executed + count);
        let all = *executed == log.len();
        if all && log.last() == Some(&END) {
            self.event(BACKUP, Event::ServerEnded);
        } else if all && *draining {
            self.event(BACKUP, Event::Drained);
        }
    }

    fn progress(&mut self) {
        if !self.nodes[BACKUP].running {
            return;
        }
        if self.nodes[BACKUP].pair.state() == State::Syncing {
            self.nodes[BACKUP].restored = true;
            self.event(BACKUP, Event::InStep);
            self.send(PRIMARY, Message::Restored);
            self.acknowledge();
        } else if self.nodes[BACKUP].going_live {
            self.event(BACKUP, Event::WentLive);
            self.act(BACKUP);
        }
    }

    fn crash(&mut self, node: usize) {
        if !self.nodes[node].running {
            return;
        }
        self.crashes += 1;
        // Nobody can take over from a replica whose peer has ended or is not in step, nor from one that won against a
        // peer that still lives: that one will learn that it lost.
        let peer = &self.nodes[1 - node];
        let in_step = 1 - node == PRIMARY || peer.pair.state() != State::Syncing;
        let won = self.winners.iter().any(|(epoch, &winner)| epoch.0 > 1 && winner == node);
        self.hopeless |= won || !peer.running || !in_step;
        self.nodes[node].running = false;
        // What it had sent is still under way; the other end sees the channel close behind it.
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass { node, ms } => {
                self.nodes[node].now += Duration::from_millis(ms);
                self.event(node, Event::Tick);
                self.next_entry += 1;
                self.run_server(node, self.next_entry);
            }
            Step::Channel { to } => self.arrive(to),
            Step::Datagram { to, index, fate } => {
                let lost = index >= self.datagrams[to];
                if !lost && !matches!(fate, Fate::Twice) {
                    self.datagrams[to] -= 1;
                }
                if !lost && !matches!(fate, Fate::Lost) {
                    self.event(to, Event::HeardBeside);
                }
            }
            Step::Break => self.channel = None,
            Step::Notice { node } => {
                let closed = self
                    .channel
                    .as_ref()
                    .is_none_or(|channel| !self.nodes[1 - node].running && channel[node].is_empty());
                if closed {
                    self.channel = None;
                    self.event(node, Event::ChannelClosed);
                }
            }
            Step::Claim { index } => {
                if let Some(claim) = self.take_claim(index) {
                    let answer = self.decide(claim);
                    self.event(claim.0, Event::ClaimResult(answer));
                }
            }
            Step::LoseAnswer { index } => {
                if let Some(claim) = self.take_claim(index) {
                    self.decide(claim);
                    self.event(claim.0, Event::ClaimResult(Answer::Unknown));
                }
            }
            Step::DelayClaim { index } => {
                if let Some(claim) = self.take_claim(index) {
                    self.delayed.push(claim);
                    self.event(claim.0, Event::ClaimResult(Answer::Unknown));
                }
            }
            Step::LateClaim { index } => {
                if !self.delayed.is_empty() {
                    let claim = self.delayed.remove(index % self.delayed.len());
                    self.decide(claim);
                }
            }
            Step::Replay { count } => self.replay(count),
            Step::Progress => self.progress(),
            Step::ServerEnds { node } => self.run_server(node, END),
            Step::Crash { node } => self.crash(node),
        }
    }

    /// The faults stop: what is left works, and is given the time that it needs.
    fn settle(&mut self) {
        for _ in 0..100 {
            for node in [PRIMARY, BACKUP] {
                while self.channel.as_ref().is_some_and(|channel| !channel[node].is_empty()) {
                    self.step(Step::Channel { to: node });
                }
                self.step(Step::Datagram { to: node, index: 0, fate: Fate::Arrives });
                self.step(Step::Notice { node });
                self.step(Step::Claim { index: 0 });
                self.step(Step::Progress);
                self.step(Step::Replay { count: usize::MAX >> 1 });
                self.step(Step::Pass { node, ms: 10 });
            }
        }
    }

    fn serves(&self) -> Result<(), String> {
        let acting = self.nodes.iter().filter(|node| node.running && node.pair.acts()).count();
        let running = self.nodes.iter().filter(|node| node.running).count();
        let paired = self.nodes.iter().all(|node| node.running && node.pair.state() == State::Paired);
        let done = self.published.last() == Some(&END) && running == 0;
        if done || (acting == 1 && running == 1) || paired {
            return Ok(());
        }
        let states = self.nodes.each_ref().map(|node| (node.running, node.pair.state()));
        Err(format!("not exactly one is left to serve: {states:?}, winners {:?}", self.winners))
    }
}

/// Runs a schedule and says whether a takeover was part of it.
fn run(faults: Faults, steps: &[Step]) -> Result<World, TestCaseError> {
    let mut world = World::new(faults);
    for step in steps {
        world.step(*step);
    }
    world.settle();
    if let Some(violation) = world.violation {
        return Err(TestCaseError::fail(violation));
    }
    if world.crashes <= 1 && !world.hopeless {
        world.serves().map_err(TestCaseError::fail)?;
    }
    Ok(world)
}

fn schedule() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 20..200)
}

/// Always the same schedules, so that what a test has found once it finds again.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

fn found(faults: Faults) -> String {
    match runner(20_000).run(&schedule(), |steps| run(faults, &steps).map(|_| ())) {
        Err(TestError::Fail(reason, steps)) => {
            assert!(run(Faults::default(), &steps).is_ok(), "with the rule on, the same schedule is sound");
            reason.to_string()
        }
        other => panic!("the violation was not found: {other:?}"),
    }
}

proptest! {
    #![proptest_config(Config { cases: 4000, failure_persistence: None, ..Config::default() })]
    #[test]
    fn one_history_is_released_and_one_replica_is_left(steps in schedule()) {
        run(Faults::default(), &steps)?;
    }
}

#[test]
fn the_schedules_reach_what_they_are_to_test() {
    let counts = std::cell::Cell::new([0u32; 5]);
    runner(2000)
        .run(&schedule(), |steps| {
            let world = run(Faults::default(), &steps)?;
            let [primary, backup] = &world.nodes;
            let reached = [
                primary.pair.state() == State::Solo,
                backup.pair.state() == State::Live,
                world.published.last() == Some(&END),
                primary.pair.state() == State::Paired && primary.running,
                world.crashes == 1 && !world.hopeless,
            ];
            let mut sums = counts.get();
            sums.iter_mut().zip(reached).for_each(|(sum, reached)| *sum += u32::from(reached));
            counts.set(sums);
            Ok(())
        })
        .unwrap();
    assert!(counts.get().iter().all(|&count| count >= 20), "solo, live, ended, paired, one crash: {:?}", counts.get());
}

#[test]
fn without_the_claim_two_act() {
    let reason = found(Faults { skip_claim: true, ..Faults::default() });
    assert!(reason.contains("an epoch that it has not won"), "{reason}");
}

#[test]
fn without_the_drain_acknowledged_writes_are_lost() {
    let reason = found(Faults { skip_drain: true, ..Faults::default() });
    assert!(reason.contains("two histories"), "{reason}");
}

#[test]
fn a_backup_that_goes_on_acknowledging_lets_the_old_primary_speak() {
    let reason = found(Faults { keep_acknowledging: true, ..Faults::default() });
    assert!(reason.contains("after another won a higher epoch"), "{reason}");
}

//! The connection against a model: a server with a log, a backup that holds a prefix of it, a lossy change of machines.

use std::collections::VecDeque;
use std::io::IoSlice;

use common::ids::{ConnId, Epoch};
use common::orders::{Carried, Progress};
use proptest::prelude::*;

use super::{ClientStep, Connection, ConnectionError, Kept, Link, Target, UpstreamStep};
use crate::byte_queue::{MAX_SLICES, joined};
use crate::config::{Config, Faults};
use crate::output::End;

fn input_byte(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9) >> 7).to_le_bytes()[0]
}

/// What a server writes at an offset depends on who writes it: beyond the log, two primaries differ.
fn output_byte(offset: u64, primary: u8) -> u8 {
    input_byte(offset) ^ primary.wrapping_mul(0x55)
}

fn id() -> ConnId {
    ConnId { epoch: Epoch(1), peer: "127.0.0.1:40000".parse().unwrap() }
}

/// A state of the server: one for every record of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct State {
    accepted: bool,
    consumed: u64,
    produced: u64,
    finished: bool,
    closed: bool,
}

impl State {
    fn progress(&self) -> Progress {
        Progress {
            conn: id(),
            consumed: self.consumed,
            produced: self.produced,
            finished: self.finished,
            closed: self.closed,
            reset: false,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    ClientSends(u16),
    ClientEnds,
    Connect,
    PumpUp(u16),
    Accept,
    ServerReads(u16),
    ServerWrites(u16),
    ServerFinishes,
    ServerCloses,
    PumpDown(u16),
    ClientTakes(u16),
    /// The backup acknowledges this share of what it has not.
    Acknowledge(u8),
    Release,
    /// The machine dies; the new primary sends this share of the received output again.
    Takeover(u8),
    GoSolo,
}

fn step() -> impl Strategy<Value = Step> {
    let size = 0u16..3000;
    prop_oneof![
        6 => size.clone().prop_map(Step::ClientSends),
        1 => Just(Step::ClientEnds),
        4 => Just(Step::Connect),
        6 => size.clone().prop_map(Step::PumpUp),
        4 => Just(Step::Accept),
        6 => size.clone().prop_map(Step::ServerReads),
        6 => size.clone().prop_map(Step::ServerWrites),
        1 => Just(Step::ServerFinishes),
        1 => Just(Step::ServerCloses),
        8 => size.clone().prop_map(Step::PumpDown),
        8 => size.prop_map(Step::ClientTakes),
        6 => any::<u8>().prop_map(Step::Acknowledge),
        6 => Just(Step::Release),
        1 => any::<u8>().prop_map(Step::Takeover),
        1 => Just(Step::GoSolo),
    ]
}

struct World {
    conn: Connection,
    client_sent: u64,
    client_ended: bool,
    got: Vec<u8>,
    got_end: Option<End>,
    upward: VecDeque<u8>,
    upward_end: bool,
    downward: VecDeque<u8>,
    downward_end: bool,
    primary: u8,
    wrote: Vec<u8>,
    server_saw_end: bool,
    /// The server's end of the link: outlives an orderly close by the proxy.
    connected: bool,
    log: Vec<State>,
    /// Index of the newest state that the backup holds.
    acknowledged: usize,
    released: u64,
    solo: bool,
}

impl World {
    fn new(faults: Faults) -> Self {
        let config = Config { retain_limit: 6000, queue_limit: 2000, backlog_limit: 4000, faults, ..Config::default() };
        Self {
            conn: Connection::new(&config, false),
            client_sent: 0,
            client_ended: false,
            got: Vec::new(),
            got_end: None,
            upward: VecDeque::new(),
            upward_end: false,
            downward: VecDeque::new(),
            downward_end: false,
            primary: 1,
            wrote: Vec::new(),
            server_saw_end: false,
            connected: false,
            log: vec![State::default()],
            acknowledged: 0,
            released: 0,
            solo: false,
        }
    }

    fn now(&self) -> State {
        self.log[self.log.len() - 1]
    }

    fn act(&mut self, change: impl FnOnce(&mut State)) {
        let mut state = self.now();
        change(&mut state);
        self.log.push(state);
    }

    fn can_act(&self) -> bool {
        self.connected && self.now().accepted && !self.now().closed
    }

    fn connect(&mut self) {
        self.connected |= matches!(self.conn.link(), Link::Wanted(_));
        match self.conn.link() {
            Link::Wanted(Target::Listener) => {
                self.conn.name(Some(id()));
                self.conn.linked();
            }
            Link::Wanted(Target::Resume { header, .. }) => {
                assert_eq!(header.conn, id());
                self.conn.linked();
            }
            _ => {}
        }
    }

    fn pump_up(&mut self, n: usize) {
        if self.conn.has_input() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = self.conn.input.slices(&mut slices);
            let mut bytes = joined(&slices[..used]);
            bytes.truncate(n);
            self.upward.extend(&bytes);
            self.conn.input.send(bytes.len());
        }
        match self.conn.upstream_step() {
            Some(UpstreamStep::End) => {
                self.upward_end = true;
                self.conn.upstream_told_end();
            }
            Some(UpstreamStep::Close) => self.conn.upstream_dropped(),
            Some(UpstreamStep::Reset) => {
                self.connected = false;
                self.conn.upstream_dropped();
            }
            None => {}
        }
    }

    fn server_reads(&mut self, n: usize) -> Result<(), TestCaseError> {
        if !self.can_act() {
            return Ok(());
        }
        let at = self.now().consumed;
        let taken: Vec<u8> = self.upward.drain(..n.min(self.upward.len())).collect();
        for (i, byte) in taken.iter().enumerate() {
            prop_assert_eq!(*byte, input_byte(at + i as u64), "input at {}", at + i as u64);
        }
        if self.upward.is_empty() && self.upward_end {
            prop_assert_eq!(at + taken.len() as u64, self.client_sent, "the end of the input overtook bytes");
            self.server_saw_end = true;
        }
        self.act(|state| state.consumed += taken.len() as u64);
        Ok(())
    }

    fn server_writes(&mut self, n: usize) {
        if self.can_act() && !self.now().finished {
            let at = self.now().produced;
            let bytes: Vec<u8> = (at..at + n as u64).map(|offset| output_byte(offset, self.primary)).collect();
            self.downward.extend(&bytes);
            self.wrote.extend(&bytes);
            self.act(|state| state.produced += n as u64);
        }
    }

    fn server_finishes(&mut self, closed: bool) {
        if self.can_act() {
            self.downward_end = true;
            self.act(|state| {
                state.finished = true;
                state.closed = closed;
            });
        }
    }

    fn pump_down(&mut self, n: usize) -> Result<(), TestCaseError> {
        if !self.conn.wants_upstream() {
            return Ok(());
        }
        let overlap = usize::try_from(self.conn.output.overlap()).unwrap();
        let n = if overlap > 0 { n.min(overlap) } else { n };
        let bytes: Vec<u8> = self.downward.drain(..n.min(self.downward.len())).collect();
        if bytes.is_empty() && self.downward_end && self.downward.is_empty() {
            self.conn.upstream_ended(End::Eof);
        } else if overlap > 0 {
            prop_assert_eq!(self.conn.output.compare(&bytes), Ok(()));
        } else {
            self.conn.output.space().extend_from_slice(&bytes);
            self.conn.output.arrived();
        }
        Ok(())
    }

    fn client_takes(&mut self, n: usize) {
        if self.conn.has_output() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = self.conn.output.slices(&mut slices);
            let mut bytes = joined(&slices[..used]);
            bytes.truncate(n);
            self.got.extend(&bytes);
            self.conn.output.pass(bytes.len());
        }
        if !self.conn.has_output() {
            match self.conn.client_step() {
                Some(ClientStep::End) => {
                    self.got_end = Some(End::Eof);
                    self.conn.client_told_end();
                }
                Some(ClientStep::Close) => self.conn.client_left(),
                Some(ClientStep::Reset) => {
                    self.got_end = Some(End::Reset);
                    self.conn.client_reset();
                }
                None => {}
            }
        }
    }

    /// The primary's machine is lost with everything that the backup does not hold.
    fn take_over(&mut self, share: u8) {
        if self.solo {
            return;
        }
        self.solo = true;
        self.log.truncate(self.acknowledged + 1);
        let state = self.now();
        self.primary = 2;
        self.wrote.truncate(usize::try_from(state.produced).unwrap());
        self.upward.clear();
        self.upward_end = false;
        self.server_saw_end = false;
        self.connected = false;
        self.downward.clear();
        self.downward_end = state.finished;
        if state.accepted {
            let received = self.conn.output.received().min(state.produced);
            let output_from = received - received * u64::from(share) / 255;
            let carried = Carried { progress: state.progress(), output_from };
            self.conn.carry(Epoch(2), &carried, "127.0.0.1:1".parse().unwrap());
            if self.conn.resumed() {
                self.downward.extend(&self.wrote[usize::try_from(output_from).unwrap()..]);
            }
        } else {
            self.log = vec![State::default()];
            self.conn.carry_not();
        }
        self.acknowledged = self.log.len() - 1;
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::ClientSends(n) => {
                if self.conn.wants_client() && !self.client_ended {
                    let range = self.client_sent..self.client_sent + u64::from(n);
                    self.client_sent = range.end;
                    self.conn.input.space().extend(range.map(input_byte));
                    self.conn.input.arrived();
                }
            }
            Step::ClientEnds => {
                if self.conn.wants_client() {
                    self.client_ended = true;
                    self.conn.input.end();
                }
            }
            Step::Connect => self.connect(),
            Step::PumpUp(n) => self.pump_up(n.into()),
            Step::Accept => {
                if self.connected && !self.now().accepted {
                    self.act(|state| state.accepted = true);
                }
            }
            Step::ServerReads(n) => self.server_reads(n.into())?,
            Step::ServerWrites(n) => self.server_writes(n.into()),
            Step::ServerFinishes => self.server_finishes(false),
            Step::ServerCloses => self.server_finishes(true),
            Step::PumpDown(n) => self.pump_down(n.into())?,
            Step::ClientTakes(n) => self.client_takes(n.into()),
            Step::Acknowledge(share) => {
                self.acknowledged += (self.log.len() - 1 - self.acknowledged) * usize::from(share) / 255;
            }
            Step::Release => {
                let state = self.log[self.acknowledged];
                if state.accepted && !self.solo {
                    self.released = state.produced;
                    self.conn.release(&state.progress());
                }
            }
            Step::Takeover(share) => self.take_over(share),
            Step::GoSolo => {
                self.solo = true;
                self.conn.go_solo();
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.conn.failure(), None);
        prop_assert!(self.got_end != Some(End::Reset), "the client was reset");
        if !self.solo {
            prop_assert!(self.got.len() as u64 <= self.released, "{} > {} released", self.got.len(), self.released);
        }
        prop_assert!(self.got.len() <= self.wrote.len(), "the client has {} of {}", self.got.len(), self.wrote.len());
        prop_assert!(self.got == self.wrote[..self.got.len()], "the client's bytes are not the server's");
        if self.got_end.is_some() {
            prop_assert!(self.now().finished && self.got.len() == self.wrote.len(), "the end overtook bytes");
        }
        Ok(())
    }

    /// Lets everything come to rest: the client ends, the server reads all its input and closes.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        let all = u16::MAX;
        for round in 0..200 {
            for step in [
                Step::Connect,
                Step::Accept,
                Step::PumpUp(all),
                Step::ServerReads(all),
                Step::PumpDown(all),
                Step::Acknowledge(255),
                Step::Release,
                Step::ClientTakes(all),
            ] {
                self.step(step)?;
            }
            match round {
                50 => self.step(Step::ClientEnds)?,
                100 => self.step(Step::ServerCloses)?,
                _ => {}
            }
        }
        prop_assert!(self.got == self.wrote, "the client has {} of {} bytes", self.got.len(), self.wrote.len());
        prop_assert_eq!(self.got_end, Some(End::Eof));
        Ok(())
    }
}

fn run(steps: &[Step], faults: Faults) -> Result<(), TestCaseError> {
    let mut world = World::new(faults);
    for step in steps {
        world.step(*step)?;
    }
    let closed_early = world.now().closed;
    world.settle()?;
    if !closed_early {
        prop_assert_eq!(world.now().consumed, world.client_sent, "input was lost");
        prop_assert!(world.server_saw_end, "the end of the input was lost");
    }
    prop_assert!(world.conn.done(), "nothing is left to do, yet the connection stays: {:?}", world.conn);
    Ok(())
}

proptest! {
    #[test]
    fn nothing_unreleased_nothing_lost_nothing_twice(steps in prop::collection::vec(step(), 1..120)) {
        run(&steps, Faults::default())?;
    }
}

/// A connection in the middle of its life: the log lags, the machine dies, the new primary sends everything again.
const LIFE: &[Step] = &[
    Step::ClientSends(1000),
    Step::Connect,
    Step::Accept,
    Step::PumpUp(900),
    Step::ServerReads(600),
    Step::ServerWrites(500),
    Step::Acknowledge(255),
    Step::Release,
    Step::ServerReads(100),
    Step::ServerWrites(300),
    Step::PumpDown(700),
    Step::ClientTakes(2000),
    Step::Takeover(255),
    Step::ClientSends(10),
];

#[test]
fn each_rule_that_is_switched_off_is_noticed() {
    run(LIFE, Faults::default()).unwrap();
    for (faults, violation) in [
        (Faults { ignore_output_rule: true, ..Faults::default() }, "700 > 500 released"),
        (Faults { ignore_input_rule: true, ..Faults::default() }, "Gap { consumed: 600, retained: 900 }"),
        (Faults { ignore_dedup: true, ..Faults::default() }, "the client has 1000 of 500"),
    ] {
        let error = run(LIFE, faults).unwrap_err().to_string();
        assert!(error.contains(violation), "{faults:?}: {error}");
    }
}

#[test]
fn a_closed_listener_refuses_no_connection_that_may_be_accepted() {
    let mut conn = Connection::new(&Config::default(), false);
    conn.name(Some(id()));
    conn.refuse();
    assert_eq!(conn.failure(), None, "on its way");
    conn.name(None);
    conn.refuse();
    assert_eq!(conn.failure(), Some(ConnectionError::Refused), "it did not arrive");
}

#[test]
fn the_server_gets_a_connection_that_it_may_have_been_told_of_though_its_client_is_gone() {
    let mut conn = Connection::new(&Config::default(), false);
    conn.name(Some(id()));
    conn.linked();
    conn.client_reset();
    conn.upstream_dropped();
    assert!(!conn.done(), "the name is taken");
    assert_eq!(conn.carry_not(), Kept::Anew);
    assert!(conn.wants_link() && !conn.done());
    conn.linked();
    assert_eq!(conn.upstream_step(), Some(UpstreamStep::Reset));
    conn.upstream_dropped();
    assert!(conn.done());
}

#[test]
fn a_client_reset_resets_the_server_and_keeps_the_name_until_the_server_closed() {
    let mut world = World::new(Faults::default());
    for step in [Step::ClientSends(10), Step::Connect, Step::Accept] {
        world.step(step).unwrap();
    }
    world.conn.client_reset();
    assert_eq!(world.conn.upstream_step(), Some(UpstreamStep::Reset));
    world.conn.upstream_dropped();
    assert!(!world.conn.done());
    let carried = Carried { progress: world.now().progress(), output_from: 0 };
    world.conn.carry(Epoch(2), &carried, "127.0.0.1:1".parse().unwrap());
    assert!(!world.conn.resumed());
    assert!(world.conn.done());
}

use super::*;
use crate::ids::ReplicaId;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn timing() -> Timing {
    Timing::new(ms(20), ms(200))
}

fn paired(mut pair: Pair) -> Pair {
    assert_eq!(pair.handle(ms(0), Event::PeerConnected), []);
    assert_eq!(pair.handle(ms(0), Event::InStep), []);
    assert_eq!(pair.state(), State::Paired);
    pair
}

fn backup() -> Pair {
    paired(Pair::backup(Epoch(1), timing()))
}

fn primary() -> Pair {
    paired(Pair::primary(Epoch(1), timing()))
}

const WON: Event = Event::ClaimResult(Answer::Verdict(Verdict::Won));
const UNKNOWN: Event = Event::ClaimResult(Answer::Unknown);

fn holder() -> Claim {
    Claim { replica: ReplicaId(5), nonce: 6 }
}

#[test]
fn a_backup_stops_acknowledging_claims_drains_goes_live_and_tells() {
    let mut pair = backup();
    assert!(pair.may_acknowledge());
    assert_eq!(pair.handle(ms(199), Event::Tick), [Action::SendHeartbeat]);
    assert_eq!(pair.handle(ms(200), Event::Tick), [Action::StopAcknowledging, Action::Claim(Epoch(2))]);
    assert!(!pair.may_acknowledge() && !pair.acts());
    assert_eq!(pair.handle(ms(201), Event::Drained), [], "not before the epoch is won");
    assert_eq!(pair.handle(ms(201), WON), [Action::Drain]);
    assert_eq!(pair.handle(ms(202), Event::WentLive), [], "not before the log is drained");
    assert_eq!(pair.handle(ms(203), Event::Drained), [Action::GoLive]);
    assert!(!pair.acts());
    assert_eq!(pair.handle(ms(204), Event::WentLive), [Action::TellProxy]);
    assert_eq!((pair.state(), pair.epoch(), pair.acts()), (State::Live, Epoch(2), true));
    assert_eq!(pair.handle(ms(205), Event::ServerEnded), [Action::EndSelf(Reason::ServerEnded)]);
}

#[test]
fn a_primary_goes_solo_only_after_it_won() {
    let mut pair = primary();
    assert_eq!(pair.handle(ms(200), Event::Tick), [Action::Claim(Epoch(2))]);
    assert!(!pair.acts());
    assert_eq!(pair.handle(ms(200), Event::HeartbeatHeard), []);
    assert_eq!(pair.handle(ms(201), UNKNOWN), []);
    assert!(!pair.acts());
    assert_eq!(pair.handle(ms(220), Event::Tick), []);
    assert_eq!(pair.deadline(), Some(ms(221)));
    assert_eq!(pair.handle(ms(221), Event::Tick), [Action::Claim(Epoch(2))], "the same epoch again");
    assert_eq!(pair.handle(ms(222), WON), [Action::GoSolo, Action::TellProxy]);
    assert_eq!((pair.state(), pair.epoch(), pair.acts()), (State::Solo, Epoch(2), true));
}

#[test]
fn who_loses_ends() {
    for mut pair in [primary(), backup()] {
        pair.handle(ms(200), Event::Tick);
        let lost = Event::ClaimResult(Answer::Verdict(Verdict::Lost(holder())));
        let reason = Reason::Lost { epoch: Epoch(2), holder: holder() };
        assert_eq!(pair.handle(ms(201), lost), [Action::EndSelf(reason)]);
        assert_eq!((pair.state(), pair.acts()), (State::Ended, false));
        assert_eq!(pair.handle(ms(999), WON), []);
        assert_eq!(pair.handle(ms(999), Event::Tick), []);
    }
}

#[test]
fn heartbeats_are_sent_and_put_off_suspicion() {
    let mut pair = primary();
    let mut sent = 0;
    for now in (0..1000).map(ms) {
        match pair.handle(now, Event::Tick).as_slice() {
            [] => {}
            [Action::SendHeartbeat] => sent += 1,
            other => panic!("{other:?} at {now:?}"),
        }
        pair.handle(now, Event::HeartbeatHeard);
    }
    assert_eq!(sent, 50);
    assert_eq!(pair.handle(ms(1198), Event::Tick), [Action::SendHeartbeat]);
    assert_eq!(pair.handle(ms(1199), Event::Tick), [Action::Claim(Epoch(2))]);
}

#[test]
fn a_closed_channel_shortens_detection_and_proves_nothing() {
    let suspects = |beside: &[u64]| {
        let mut pair = backup();
        let mut at = 0;
        loop {
            if at == 100 {
                assert_eq!(pair.handle(ms(at), Event::ChannelClosed), []);
            }
            if at <= 100 || beside.contains(&at) {
                pair.handle(ms(at), Event::HeardBeside);
            }
            pair.handle(ms(at), Event::Tick);
            if pair.state() == State::Promoting {
                return at;
            }
            at += 1;
        }
    };
    assert_eq!(suspects(&[]), 140, "grace instead of the timeout");
    assert_eq!(suspects(&[130]), 170, "heartbeats beside it put that off");
    let all: Vec<u64> = (100..1000).collect();
    assert_eq!(suspects(&all), 300, "but no longer than the timeout: without a channel there is no log");
}

#[test]
fn a_channel_that_passes_nothing_is_given_up_although_the_peer_lives() {
    for mut pair in [primary(), backup()] {
        let promoting = |pair: &Pair| pair.state() == State::Promoting;
        pair.handle(ms(500), Event::HeartbeatHeard);
        for at in (500..2500).map(ms) {
            pair.handle(at, Event::HeardBeside);
            pair.handle(at, Event::Tick);
            assert!(!promoting(&pair), "at {at:?}: ten timeouts after 500 ms are not over");
        }
        assert_eq!(pair.deadline(), Some(ms(2500)));
        pair.handle(ms(2500), Event::HeardBeside);
        pair.handle(ms(2500), Event::Tick);
        assert!(promoting(&pair));
    }
}

#[test]
fn a_backup_that_is_not_in_step_never_claims() {
    let mut pair = Pair::backup(Epoch(1), timing());
    pair.handle(ms(0), Event::PeerConnected);
    assert_eq!(pair.handle(ms(200), Event::Tick), [Action::EndSelf(Reason::SyncFailed)]);
    let mut pair = Pair::primary(Epoch(1), timing());
    assert!(pair.acts());
    pair.handle(ms(0), Event::PeerConnected);
    assert!(!pair.acts(), "its backup may be in step before it knows");
    assert_eq!(pair.handle(ms(200), Event::Tick), [Action::Claim(Epoch(2))]);
}

#[test]
fn a_clean_exit_is_no_failure() {
    let mut backup = backup();
    assert_eq!(backup.handle(ms(10), Event::ServerEnded), [Action::EndSelf(Reason::ServerEnded)]);
    let mut primary = primary();
    assert_eq!(primary.handle(ms(10), Event::ServerEnded), []);
    assert_eq!(primary.handle(ms(11), Event::PeerEnded), [Action::EndSelf(Reason::ServerEnded)]);
}

#[test]
fn a_peer_that_dies_during_a_clean_exit_leaves_the_rest_to_the_other() {
    let mut pair = primary();
    pair.handle(ms(10), Event::ServerEnded);
    assert_eq!(pair.handle(ms(200), Event::Tick), [Action::Claim(Epoch(2))]);
    let ended = Action::EndSelf(Reason::ServerEnded);
    assert_eq!(pair.handle(ms(201), WON), [Action::GoSolo, Action::TellProxy, ended]);

    let mut pair = backup();
    pair.handle(ms(200), Event::Tick);
    assert_eq!(pair.handle(ms(201), Event::ServerEnded), [], "what it executed is not released before it won");
    assert_eq!(pair.handle(ms(202), WON), [Action::TellProxy, ended]);

    let mut pair = backup();
    pair.handle(ms(200), Event::Tick);
    assert_eq!(pair.handle(ms(201), WON), [Action::Drain]);
    assert_eq!(pair.handle(ms(202), Event::ServerEnded), [Action::TellProxy, ended]);
}

#[test]
fn a_backup_that_diverged_never_goes_live() {
    let ended = [Action::StopAcknowledging, Action::EndSelf(Reason::Diverged)];
    let mut pair = backup();
    assert_eq!(pair.handle(ms(5), Event::Diverged), ended);
    assert!(!pair.may_acknowledge());
    let mut pair = backup();
    pair.handle(ms(200), Event::Tick);
    pair.handle(ms(201), WON);
    assert_eq!(pair.handle(ms(202), Event::Diverged), ended);
    let mut primary = primary();
    assert_eq!(primary.handle(ms(5), Event::PeerEnded), [Action::Claim(Epoch(2))], "its primary goes on alone");
}

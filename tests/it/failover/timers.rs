//! Timers go on with what is left: never early, not later than a failover lasts, and no expiry is lost.

use super::service::{same_as_native, same_at_random};

const SERVER: &str = "timers";
const POSIX: &str = "posix_timers";

/// One-shot, to a date, and periodic, of which the expiries that nobody has read meanwhile are counted.
#[test]
fn timerfds_go_on() {
    same_as_native(SERVER, 1, |service| {
        service.ask("set 1500")?;
        service.kill()?;
        service.ask_all(&["left 50", "dated", "periods", "once", "periods"])
    });
}

/// It expires while nobody serves.
#[test]
fn a_timerfd_that_expires_during_the_failover_has_expired() {
    same_as_native(SERVER, 1, |service| {
        service.ask("set 30")?;
        service.kill()?;
        service.ask_all(&["once", "periods"])
    });
}

#[test]
fn an_interval_timer_raises_its_signal() {
    same_as_native(SERVER, 1, |service| {
        service.ask("itimer 800")?;
        service.kill()?;
        service.ask("alarms 1")
    });
}

#[test]
fn an_alarm_during_the_failover_comes_after_it() {
    same_as_native(SERVER, 1, |service| {
        service.ask("itimer 20")?;
        service.kill()?;
        service.ask("alarms 1")?;
        service.ask("alarm 1")?;
        service.ask("alarms 2")
    });
}

#[test]
fn an_interval_timer_ticks_on() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["tick 10", "ticks 3"])?;
        service.kill()?;
        service.ask("ticks 20")
    });
}

#[test]
fn a_timer_is_heard_through_a_signalfd() {
    same_as_native(SERVER, 1, |service| {
        service.ask("signalfd 600")?;
        service.kill()?;
        service.ask("read")
    });
}

/// The signal of the timer waits behind a mask when the primary dies.
#[test]
fn an_alarm_that_was_not_yet_read_is_read_once() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["signalfd 10", "tick 0", "signalfd 10"])?;
        service.kill()?;
        service.ask("read")
    });
}

#[test]
fn nothing_changes_wherever_the_primary_dies() {
    same_at_random(SERVER, 3, true, |service| {
        service.ask_all(&[
            "set 700",
            "periods",
            "itimer 300",
            "left 4000",
            "alarms 1",
            "periods",
            "once",
            "tick 20",
        ])?;
        service.ask_all(&["ticks 5", "dated", "periods", "ticks 5"])
    });
}

/// With ids that are not the first, one to the thread, one that nobody hears of; and new ones afterwards.
#[test]
fn posix_timers_go_on() {
    same_as_native(POSIX, 1, |service| {
        service.ask_all(&["skip 5", "begin 900"])?;
        service.kill()?;
        service.ask_all(&["left", "both", "left", "delete", "again 50", "both", "delete"])
    });
}

#[test]
fn posix_timers_that_expire_during_the_failover_have_expired() {
    same_as_native(POSIX, 1, |service| {
        service.ask("begin 30")?;
        service.kill()?;
        service.ask_all(&["both", "left"])
    });
}

#[test]
fn expiries_of_posix_timers_are_counted_across_a_failover() {
    for clock in ["monotonic", "calendar"] {
        same_as_native(POSIX, 1, |service| {
            service.ask_all(&[&format!("periodic {clock} 20"), "periods"])?;
            service.kill()?;
            service.ask_all(&["periods", "periods"])
        });
    }
}

#[test]
fn the_last_overrun_is_told_after_a_failover() {
    same_as_native(POSIX, 1, |service| {
        service.ask_all(&["overrun", "same"])?;
        service.kill()?;
        service.ask("same")
    });
}

/// The signal of the timer waits behind a mask when the primary dies.
#[test]
fn a_posix_timer_that_was_not_yet_heard_is_heard_once() {
    same_as_native(POSIX, 1, |service| {
        service.ask("wait 20")?;
        service.kill()?;
        service.ask("read")
    });
}

#[test]
fn posix_timers_do_not_change_wherever_the_primary_dies() {
    same_at_random(POSIX, 3, true, |service| {
        service.ask_all(&["skip 3", "begin 500", "left", "both", "delete", "again 300", "both", "delete"])?;
        service.ask_all(&["periodic monotonic 20", "periods", "periods", "delete"])
    });
}

//! eventfds, pipes, socket pairs and epoll sets come back with what is in them.

use anyhow::Result;

use super::service::{Service, same_as_native, same_at_random};

const SERVER: &str = "events";

#[test]
fn eventfds_keep_their_counts() {
    same_as_native(SERVER, 1, |service| {
        service.ask("make")?;
        service.kill()?;
        service.ask("counts")
    });
}

#[test]
fn pipes_keep_what_is_unread() {
    same_as_native(SERVER, 1, |service| {
        service.ask("make")?;
        service.kill()?;
        service.ask("pipes")?;
        service.more()
    });
}

#[test]
fn socket_pairs_keep_what_is_unread_and_their_borders() {
    same_as_native(SERVER, 1, |service| {
        service.ask("make")?;
        service.kill()?;
        service.ask("pairs")?;
        service.more()?;
        service.more()
    });
}

/// Level, edge, one-shot (armed and fired), a set in a set, data, an item that outlived its number. Edges come once more.
#[test]
fn epoll_sets_wait_for_the_same() {
    same_as_native(SERVER, 1, |service| {
        service.ask("sets")?;
        service.kill()?;
        sets(service)
    });
}

fn sets(service: &mut Service) -> Result<()> {
    for signalled in ["signal e", "signal o", "signal f", "signal n"] {
        service.ask(signalled)?;
        service.more()?;
    }
    service.ask("rearm")?;
    service.ask("signal f")?;
    service.more()
}

#[test]
fn nothing_changes_wherever_the_primary_dies() {
    same_at_random(SERVER, 3, true, |service| {
        service.ask_all(&["make", "sets", "counts"])?;
        service.ask("pipes")?;
        service.more()?;
        sets(service)?;
        service.ask("pairs")?;
        service.more()?;
        service.more()
    });
}

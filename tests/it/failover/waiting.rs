//! The primary dies while its server waits, in every call in which a server may wait. The replica makes the call again: it waits
//! for the same, and not for a shorter time.

use super::service::same_as_native;

const SERVER: &str = "waiting";

/// The server waits in the given way for the next request.
fn for_input(way: &str) {
    same_as_native(SERVER, 1, |service| {
        service.ask(&format!("wait {way}"))?;
        service.kill()?;
        service.ask("wait recv")?;
        service.ask("wait poll")
    });
}

/// The server says that it waits, then what came of it, while nobody sends anything.
fn by_itself(request: &str) {
    same_as_native(SERVER, 1, |service| {
        service.ask(request)?;
        service.kill()?;
        service.more()
    });
}

/// Handlers run while it waits: the hundredth tells the client, long after the failover.
fn interrupted(request: &str) {
    same_as_native(SERVER, 1, |service| {
        service.ask(request)?;
        service.kill()?;
        service.more()?;
        service.ask("wait recv")?;
        service.ask("wait poll")
    });
}

macro_rules! waits {
    ($($name:ident: $kind:ident($request:expr);)*) => {
        $(#[test] fn $name() { $kind($request); })*
    };
}

waits! {
    in_poll: for_input("poll");
    in_poll_with_a_timeout: for_input("poll60");
    in_ppoll: for_input("ppoll");
    in_select: for_input("select");
    in_pselect: for_input("pselect");
    in_epoll_wait: for_input("epoll");
    in_epoll_wait_with_a_timeout: for_input("epoll60");
    in_epoll_pwait: for_input("epoll_pwait");
    in_a_blocking_receive: for_input("recv");
    between_tries_of_a_nonblocking_receive: for_input("nonblocking");
    in_a_receive_with_a_timeout: by_itself("patient 700");
    in_nanosleep: by_itself("sleep 700");
    in_clock_nanosleep_to_a_date: by_itself("until 700");
    past_the_date_of_clock_nanosleep: by_itself("until 40");
    in_the_timeout_of_poll: by_itself("poll 700");
    in_pause: by_itself("pause 700");
    in_sigsuspend: by_itself("suspend 700");
    in_sigwaitinfo: by_itself("sigwait 700");
    in_a_receive_that_signals_interrupt_and_the_kernel_restarts: interrupted("interrupted 100");
    in_a_poll_that_signals_interrupt: interrupted("interrupted_poll 100");
}

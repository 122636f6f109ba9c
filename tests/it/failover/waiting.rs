//! The primary dies while its server waits, in every call in which a server may wait. The replica makes the call again: it waits
//! for the same, and not for a shorter time.

use std::fs;

use anyhow::{Context, Result};
use tracer::interceptor::code;

use super::service::{Service, same_as_native};
use crate::support::status::Role;
use crate::support::trio::computed;
use crate::support::{OFTEN, poll};

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

fn server_of(service: &mut Service) -> Result<Option<i32>> {
    let Some(trio) = service.trio() else { return Ok(None) };
    let status = trio.status()?.context("no status")?;
    Ok(Some(status.only(Role::Primary).and_then(|primary| primary.server_pid).context("a primary has a server")?))
}

/// Waits until the primary's server is blocked in a call that it makes in process, where the fast layer is what is tested.
fn blocked_inside(service: &mut Service) -> Result<()> {
    if std::env::var("FTRUN_LAYER").is_ok_and(|layer| layer != "fast") {
        return Ok(());
    }
    let Some(server) = server_of(service)? else { return Ok(()) };
    let path = format!("/proc/{server}/syscall");
    poll("the server to be blocked in the interceptor", OFTEN, || {
        let call = fs::read_to_string(&path).context(path.clone())?;
        let rip =
            call.split_whitespace().next_back().and_then(|rip| u64::from_str_radix(rip.strip_prefix("0x")?, 16).ok());
        Ok(rip.filter(|rip| code::contains(*rip)).map(drop))
    })
}

/// As [`for_input`], at a site that has been used before.
fn inside_for_input(way: &str) {
    same_as_native(SERVER, 1, |service| {
        service.ask(&format!("wait {way}"))?;
        service.ask(&format!("wait {way}"))?;
        blocked_inside(service)?;
        service.kill()?;
        service.ask(&format!("wait {way}"))?;
        service.ask("wait poll")
    });
}

/// As [`by_itself`], at a site that has been used before.
fn inside_by_itself(way: &str) {
    same_as_native(SERVER, 1, |service| {
        service.ask(&format!("{way} 20"))?;
        service.more()?;
        service.ask(&format!("{way} 1500"))?;
        blocked_inside(service)?;
        service.kill()?;
        service.more()?;
        service.ask(&format!("{way} 20"))?;
        service.more()
    });
}

/// The server is not in a call at all.
#[test]
fn while_it_computes() {
    same_as_native(SERVER, 1, |service| {
        service.ask("compute 1")?;
        service.more()?;
        service.ask("compute 600")?;
        if let Some(server) = server_of(service)? {
            let before = computed(server)?;
            poll("the server to compute", OFTEN, || Ok((computed(server)? > before + 50_000_000).then_some(())))?;
        }
        service.kill()?;
        service.more()?;
        service.ask("wait recv")?;
        service.ask("compute 1")?;
        service.more()
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
    in_process_in_poll: inside_for_input("poll");
    in_process_in_epoll_wait: inside_for_input("epoll");
    in_process_in_epoll_wait_with_a_timeout: inside_for_input("epoll60");
    in_process_in_a_blocking_receive: inside_for_input("recv");
    in_process_in_nanosleep: inside_by_itself("nap");
    in_process_in_clock_nanosleep_to_a_date: inside_by_itself("until");
    in_process_in_the_timeout_of_poll: inside_by_itself("poll");
    in_a_poll_that_signals_interrupt: interrupted("interrupted_poll 100");
}

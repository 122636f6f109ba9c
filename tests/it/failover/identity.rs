//! Who the server is, its clocks, where it stands, its output, its end.

use super::service::{same_as_native, same_when};
use crate::support::group::Victim;

const SERVER: &str = "identity";

#[test]
fn ids_stay_and_signals_to_oneself_arrive() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["remember", "compare", "kill", "about"])?;
        service.kill()?;
        service.ask_all(&["compare", "kill", "about"])
    });
}

#[test]
fn a_session_of_its_own_is_led_on() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["remember", "session", "compare"])?;
        service.kill()?;
        service.ask_all(&["compare", "kill"])
    });
}

/// CLOCK_MONOTONIC, _RAW, _COARSE, _BOOTTIME, the processor time of process and thread, rdtsc and rdtscp.
#[test]
fn no_clock_goes_back() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["remember", "time", "time"])?;
        service.kill()?;
        service.ask_all(&["time", "time"])
    });
}

#[test]
fn directory_mask_and_name_stay() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["remember", "place"])?;
        service.kill()?;
        service.ask("place")
    });
}

/// Needs root: who is not root has nothing to give up.
#[test]
fn rights_that_were_given_up_stay_given_up() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can give up its rights");
        return;
    }
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["drop 65534", "rights"])?;
        service.kill()?;
        service.ask("rights")?;
        service.expect("users 65534 65534 65534, groups 65534 65534 65534 and 0 more, back EPERM")
    });
}

/// Standard output and error are those of the `ftrun` that runs the server.
#[test]
fn output_goes_on_at_the_survivor() {
    same_as_native(SERVER, 1, |service| {
        service.ask("print before")?;
        service.kill()?;
        service.ask("print after")?;
        if let Some(trio) = service.trio() {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let (primary, backup) = (trio.primary.stdout()?, trio.backup.stdout()?);
            anyhow::ensure!((text(primary), text(backup)) == ("out before\n".into(), "out after\n".into()));
            let (primary, backup) = (text(trio.primary.stderr()?), text(trio.backup.stderr()?));
            anyhow::ensure!(primary.contains("err before\n") && !primary.contains("err after"));
            anyhow::ensure!(backup.contains("err after\n") && !backup.contains("err before"));
        }
        Ok(())
    });
}

#[test]
fn it_starts_processes_after_the_failover_too() {
    same_as_native(SERVER, 1, |service| {
        service.ask("fork")?;
        service.kill()?;
        service.ask_all(&["fork", "fork"])
    });
}

#[test]
fn its_exit_status_passes_through() {
    for victim in [Victim::Server, Victim::Primary] {
        same_when(SERVER, 1, victim, |service| {
            service.ask("remember")?;
            service.kill()?;
            service.ask_all(&["compare", "exit 7"])
        });
    }
}

#[test]
fn a_fatal_signal_is_raised_again() {
    same_as_native(SERVER, 1, |service| {
        service.ask("remember")?;
        service.kill()?;
        service.ask_all(&["compare", "abort"])
    });
}

//! Files at their offsets, directories, locks, watches, mapped files: on storage that both replicas see.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context, Result, ensure};

use super::service::{Service, same_as_native, same_at_random};
use crate::support::status::Role;

const SERVER: &str = "files";

#[test]
fn offsets_and_flags_are_shared_by_duplicates() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["open", "offset", "flags x"])?;
        service.kill()?;
        service.ask_all(&["flags", "offset", "write XY", "offset", "flags x", "write Z"])?;
        note_file(service, "plain")
    });
}

#[test]
fn a_log_file_is_appended_to_without_a_gap_or_a_repetition() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["open", "append two", "append three"])?;
        service.kill()?;
        service.ask_all(&["append four", "append five"])?;
        note_file(service, "log")
    });
}

#[test]
fn every_entry_of_a_directory_is_read_once() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["open", "entries 700"])?;
        service.kill()?;
        service.ask_all(&["entries 500", "entries 4000"])
    });
}

/// The one loss among them: what has no name cannot be opened again, and says so.
#[test]
fn a_removed_file_is_lost_with_an_error() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["open", "unlinked"])?;
        service.expect("6")?;
        service.kill()?;
        service.ask("unlinked")?;
        service.differs("6", "EBADF")
    });
}

/// A server that reads faster than its log is taken from the ring waits for room, and nothing is lost by that.
#[test]
fn a_full_ring_makes_the_server_wait() {
    same_as_native(SERVER, 1, |service| {
        service.ask("flood 192")?;
        let in_process = std::env::var("FTRUN_LAYER").map_or(true, |layer| layer == "fast");
        if let Some(trio) = service.trio()
            && in_process
        {
            let status = trio.status()?.context("no status")?;
            let waits = status.only(Role::Primary).and_then(|primary| primary.ring_waits).context("ring_waits")?;
            ensure!(waits > 0, "192 MiB went through a ring of 8 MiB without a wait");
        }
        service.kill()?;
        service.ask_all(&["flood 192", "open", "offset"])
    });
}

#[test]
fn locks_are_held_on() {
    same_as_native(SERVER, 1, |service| {
        service.ask("lock")?;
        note_locks(service)?;
        service.kill()?;
        service.wait_solo()?;
        note_locks(service)?;
        service.ask("unlock")?;
        note_locks(service)
    });
}

#[test]
fn watches_keep_their_numbers() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["watch", "watched before"])?;
        service.kill()?;
        service.ask("watched after")
    });
}

/// A shared mapping shows later changes of the file, a private one keeps the server's own.
#[test]
fn mapped_files_stay_mapped() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["map", "change before"])?;
        service.kill()?;
        service.ask("change later!")
    });
}

/// What the server wrote by memory is in the file, although the primary's machine has lost it: another process spoils it here.
#[test]
fn what_was_written_by_memory_is_in_the_file() {
    same_as_native(SERVER, 1, |service| {
        service.ask_all(&["share", "see one", "put before"])?;
        if service.trio().is_some() {
            let file = File::options().write(true).open(service.work().join("written"))?;
            file.set_len(4096)?;
            file.write_all_at(b"spoiled", 4090)?;
        }
        service.kill()?;
        service.wait_solo()?;
        let bytes = std::fs::read(service.work().join("written"))?;
        let text = |at: usize| String::from_utf8_lossy(&bytes[at..at + 10]).into_owned();
        service.note(format!("{} bytes, {:?}, {:?}, {:?}", bytes.len(), text(0), text(4090), text(8192)));
        service.ask_all(&["see two", "put after", "see three"])
    });
}

/// The private mapping is a copy by then: its file's content cannot come again, and the call says so.
#[test]
fn a_copy_of_a_mapped_file_is_not_let_go() {
    same_as_native(SERVER, 1, |service| {
        service.ask("map")?;
        service.kill()?;
        service.ask("let_go")?;
        service.differs("0", "EINVAL")?;
        service.ask("change x")?;
        service.differs("the xile as it was, the , the xile as it was", "the xile as it was, MINE, the xile as it was")
    });
}

#[test]
fn nothing_changes_wherever_the_primary_dies() {
    same_at_random(SERVER, 3, false, |service| {
        service.ask_all(&["open", "offset", "append two", "write 12", "entries 600", "watch", "append three"])?;
        service.ask_all(&["flags x", "watched one", "offset", "entries 4000", "watched two", "append four", "map"])?;
        service.ask_all(&["change again", "write 3"])?;
        note_file(service, "plain")?;
        note_file(service, "log")
    });
}

fn note_file(service: &mut Service, name: &str) -> Result<()> {
    let text = std::fs::read_to_string(service.work().join(name)).with_context(|| name.to_owned())?;
    service.note(format!("{name}: {text:?}"));
    Ok(())
}

/// What another process finds locked.
fn note_locks(service: &mut Service) -> Result<()> {
    let file = File::options().read(true).write(true).open(service.work().join("locked"))?;
    let whole = nix::fcntl::Flock::lock(file.try_clone()?, nix::fcntl::FlockArg::LockExclusiveNonblock).is_err();
    let mut bytes = String::new();
    for start in 0..8 {
        let mut lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: start, l_len: 1, l_pid: 0 };
        nix::fcntl::fcntl(&file, nix::fcntl::F_GETLK(&mut lock)).context("F_GETLK")?;
        bytes.push(if lock.l_type == libc::F_UNLCK as i16 { '-' } else { 'x' });
    }
    service.note(format!("locked as a whole {whole}, bytes {bytes}"));
    Ok(())
}

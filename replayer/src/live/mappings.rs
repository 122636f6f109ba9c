//! Files that the server had mapped with MAP_SHARED. In the replica they are copies; mapped again they show what is written to
//! the file from now on. Private mappings stay copies: what they show is what the primary saw.

use std::io;

use common::abi;
use common::syscall::nr;
use tracer::launch;
use tracer::recorder::{FileAreas, SharedCopy};

use super::LiveError;
use super::courier::Courier;
use crate::golive::{GoLiveError, Loss, Target, TargetError};

/// Maps the files again, inside the server. Says which stay copies.
///
/// # Errors
/// When the server's process fails.
pub(super) fn restore(server: &mut Courier, areas: &mut FileAreas) -> Result<Vec<Loss>, LiveError> {
    let copies: Vec<SharedCopy> = areas.shared_copies().collect();
    let mut losses = Vec::new();
    for copy in copies {
        match map(server, &copy)? {
            Ok(()) => areas.mapped_again(&copy),
            Err(error) => {
                let what = copy.path.as_ref().map_or_else(|| "a file without a name".to_owned(), ToString::to_string);
                let why = format!("was mapped at {:#x} and cannot be mapped again ({error}): a copy", copy.start);
                losses.push(Loss { numbers: Vec::new(), what, why });
            }
        }
    }
    Ok(losses)
}

fn map(server: &mut Courier, copy: &SharedCopy) -> Result<io::Result<()>, LiveError> {
    let Some(path) = &copy.path else {
        return Ok(Err(io::Error::from_raw_os_error(libc::ENOENT)));
    };
    let maps = launch::maps(server.pid()?).map_err(|error| {
        let source = io::Error::other(error.to_string());
        GoLiveError::from(TargetError { what: "see the memory map".into(), source })
    })?;
    let protection = maps.iter().find(|m| m.start <= copy.start && copy.start < m.end).map_or(0, |m| m.prot);
    let name = server.scratch(&[&path.0[..], b"\0"].concat()).map_err(GoLiveError::from)?;
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as u64;
    let opened = server.call(nr::OPENAT.into(), [abi::word(libc::AT_FDCWD), name, flags, 0, 0, 0]);
    let fd = match errno(opened.map_err(GoLiveError::from)?) {
        Ok(fd) => fd,
        Err(error) => return Ok(Err(error)),
    };
    let how = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;
    let args = [copy.start, copy.len, abi::word(protection), how, fd, copy.offset];
    let mapped = server.call(nr::MMAP.into(), args).map_err(GoLiveError::from)?;
    server.call(nr::CLOSE.into(), [fd, 0, 0, 0, 0, 0]).map_err(GoLiveError::from)?;
    Ok(errno(mapped).map(drop))
}

fn errno(result: i64) -> io::Result<u64> {
    match result {
        -4095..0 => Err(io::Error::from_raw_os_error(abi::int_result(-result))),
        other => Ok(abi::word(other)),
    }
}

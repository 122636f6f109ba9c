//! Files that the server had mapped with MAP_SHARED. In the replica memory stands for them; what the server wrote there is put
//! into the file, and mapped again they show what is written to the file from now on. Private mappings stay copies: what they
//! show is what the primary saw.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::abi;
use common::syscall::nr;
use tracer::files::{FileAreas, SharedCopy};
use tracer::inject::Session;
use tracer::launch;

use super::LiveError;
use super::courier::Courier;
use crate::golive::{GoLiveError, Loss, Target, TargetError};
use crate::mapped::MappedFiles;

/// What is compared and written at once, in bytes.
const PIECE: u64 = 64 << 10;

/// Takes the replica's own descriptors away from the server. What they stand for stays mapped.
///
/// # Errors
/// When the server's process fails.
pub(super) fn close(mut session: Session, mapped: &MappedFiles) -> Result<Session, LiveError> {
    for number in mapped.numbers() {
        session = session.call(nr::CLOSE.into(), [number, 0, 0, 0, 0, 0])?.0;
    }
    Ok(session)
}

/// Writes what the server has written by memory into the files, and maps them again, inside the server. Says which stay copies.
///
/// # Errors
/// When the server's process fails.
pub(super) fn restore(
    server: &mut Courier,
    areas: &mut FileAreas,
    mapped: &MappedFiles,
) -> Result<Vec<Loss>, LiveError> {
    let copies: Vec<SharedCopy> = areas.shared_copies().collect();
    let mut losses = Vec::new();
    let changed: BTreeSet<_> = copies.iter().filter(|copy| copy.written).filter_map(|copy| copy.file).collect();
    let writes = |copy: &SharedCopy| copy.file.filter(|file| changed.contains(file)).and_then(|file| mapped.get(file));
    let write = |copy| writes(copy).map_or(Ok(()), |memory| write_back(copy, memory));
    let written: Vec<io::Result<()>> = copies.iter().map(write).collect();
    // Mappings of one file stay together: they show each other's writes.
    let failed = |(copy, result): (&SharedCopy, &io::Result<()>)| result.is_err().then_some(copy.file);
    let kept: BTreeSet<_> = copies.iter().zip(&written).filter_map(failed).flatten().collect();
    for (copy, written) in copies.iter().zip(written) {
        let apart = copy.file.is_some_and(|file| kept.contains(&file));
        let result = match written {
            Ok(()) if apart => Err(io::Error::other("another mapping of it cannot")),
            Ok(()) => map(server, copy)?,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => areas.mapped_again(copy),
            Err(error) => {
                let what = copy.path.as_ref().map_or_else(|| "a file without a name".to_owned(), ToString::to_string);
                let why = format!("was mapped at {:#x} and cannot be mapped again ({error}): a copy", copy.start);
                losses.push(Loss { numbers: Vec::new(), what, why });
            }
        }
    }
    Ok(losses)
}

/// Puts what stands for a part of a file into it, where it differs, and onto its storage: the primary's machine may have died with
/// what it held of the file in memory.
fn write_back(copy: &SharedCopy, (memory, size): (&File, u64)) -> io::Result<()> {
    let path = copy.path.as_ref().ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    let file = File::options().read(true).write(true).open(path.as_path())?;
    let mut changed = false;
    if file.metadata()?.len() < size {
        file.set_len(size)?;
        changed = true;
    }
    let end = copy.offset.saturating_add(copy.len).min(size);
    let mut at = copy.offset;
    while at < end {
        let len = abi::size(PIECE.min(end - at));
        let (mut ours, mut theirs) = (vec![0; len], vec![0; len]);
        memory.read_exact_at(&mut ours, at)?;
        if file.read_exact_at(&mut theirs, at).is_err() || ours != theirs {
            file.write_all_at(&ours, at)?;
            changed = true;
        }
        at += len as u64;
    }
    if changed { file.sync_all() } else { Ok(()) }
}

fn map(server: &mut Courier, copy: &SharedCopy) -> Result<io::Result<()>, LiveError> {
    let Some(path) = &copy.path else {
        return Ok(Err(io::Error::from_raw_os_error(libc::ENOENT)));
    };
    let maps = launch::maps(server.pid()?).map_err(|error| {
        let source = io::Error::other(error.to_string());
        GoLiveError::from(TargetError { what: "see the memory map".into(), source })
    })?;
    let mode = if copy.writable { libc::O_RDWR } else { libc::O_RDONLY };
    let fd = match open(server, path.as_path(), mode)? {
        Ok(fd) => fd,
        Err(error) => return Ok(Err(error)),
    };
    let how = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;
    let end = copy.start.saturating_add(copy.len);
    let mut result = Ok(());
    // Parts of it may have another protection by now.
    for part in maps.iter().filter(|part| part.start < end && part.end > copy.start) {
        let (start, end) = (part.start.max(copy.start), part.end.min(end));
        let offset = copy.offset + (start - copy.start);
        let args = [start, end - start, abi::word(part.prot), how, fd, offset];
        let mapped = errno(server.call(nr::MMAP.into(), args).map_err(GoLiveError::from)?);
        result = result.and(mapped.map(drop));
    }
    server.call(nr::CLOSE.into(), [fd, 0, 0, 0, 0, 0]).map_err(GoLiveError::from)?;
    Ok(result)
}

fn open(server: &mut Courier, path: &Path, mode: i32) -> Result<io::Result<u64>, LiveError> {
    use std::os::unix::ffi::OsStrExt;
    let name = [path.as_os_str().as_bytes(), b"\0"].concat();
    let name = server.scratch(&name).map_err(GoLiveError::from)?;
    let flags = abi::word(mode | libc::O_CLOEXEC);
    let opened = server.call(nr::OPENAT.into(), [abi::word(libc::AT_FDCWD), name, flags, 0, 0, 0]);
    Ok(errno(opened.map_err(GoLiveError::from)?))
}

fn errno(result: i64) -> io::Result<u64> {
    match result {
        -4095..0 => Err(io::Error::from_raw_os_error(abi::int_result(-result))),
        other => Ok(abi::word(other)),
    }
}

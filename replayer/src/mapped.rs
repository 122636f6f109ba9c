//! Files that the primary has mapped with MAP_SHARED. In a replica a memory file stands for each: its mappings see each other's
//! writes, as those of the file do, and the file itself is not touched.
//!
//! Each memory file is open in the replayed process, which has no other descriptors, and here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use common::abi;
use common::record::FileState;
use common::syscall::nr;
use thiserror::Error;
use tracer::files::{FileAreas, FileId};
use tracer::inject::{InjectError, Session};
use tracer::sys::pidfd;
use tracer::tracee::{Stopped, TraceeError};

/// Where a file ends that a memory file can stand for.
const LONGEST: u64 = i64::MAX.cast_unsigned() & !4095;

/// Memory that stands for a file cannot be made or changed.
#[derive(Debug, Error)]
pub enum MappedError {
    /// The memory file.
    #[error("memory that stands for a mapped file cannot be {what}: {error}")]
    Memory {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: io::Error,
    },
    /// A call inside of the process failed.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// Its memory could not be written.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
}

fn memory(what: &'static str) -> impl Fn(io::Error) -> MappedError {
    move |error| MappedError::Memory { what, error }
}

#[derive(Debug)]
struct Standing {
    file: File,
    /// Its number in the process.
    number: u64,
    /// As long as the primary's file was when the log last told.
    size: u64,
}

/// What stands for files.
#[derive(Debug, Default)]
pub struct MappedFiles(BTreeMap<FileId, Standing>);

impl MappedFiles {
    /// The number, in the process, of what stands for a file; those of which `areas` has nothing any more go.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn open(
        &mut self,
        mut session: Session,
        state: FileState,
        areas: &FileAreas,
    ) -> Result<(Session, u64), MappedError> {
        let id = FileId::from(state);
        let gone: Vec<FileId> =
            self.0.keys().copied().filter(|&file| file != id && !areas.has_standing(file)).collect();
        for file in gone {
            if let Some(standing) = self.0.remove(&file) {
                session = session.call(nr::CLOSE.into(), [standing.number, 0, 0, 0, 0, 0])?.0;
            }
        }
        if let Some(standing) = self.0.get_mut(&id) {
            standing.size = state.size;
            return Ok((session, standing.number));
        }
        let name = session.scratch(b"ftrun-mapped\0")?;
        let (session, number) = session.call(libc::SYS_memfd_create, [name, libc::MFD_CLOEXEC.into(), 0, 0, 0, 0])?;
        session.process().write(name, &[0; 16])?;
        let borrowed = pidfd::borrow(session.process().pid(), abi::int(number));
        let file = File::from(borrowed.map_err(|errno| memory("opened")(errno.into()))?);
        file.set_len(LONGEST).map_err(memory("made as long as a file"))?;
        self.0.insert(id, Standing { file, number, size: state.size });
        Ok((session, number))
    }

    /// All of it goes: the process has become another program.
    ///
    /// # Errors
    /// When the process fails.
    pub(crate) fn close(&mut self, mut session: Session) -> Result<Session, MappedError> {
        for standing in std::mem::take(&mut self.0).into_values() {
            session = session.call(nr::CLOSE.into(), [standing.number, 0, 0, 0, 0, 0])?.0;
        }
        Ok(session)
    }

    /// Empties a part of what stands for a file: the content of each part of it that is mapped anew comes with its record.
    ///
    /// # Errors
    /// When it cannot be changed.
    pub(crate) fn clear(&self, file: FileId, from: u64, to: u64) -> Result<(), MappedError> {
        let Some(standing) = self.0.get(&file) else { return Ok(()) };
        let (from, to) = (from.min(LONGEST), to.min(LONGEST));
        if from == to {
            return Ok(());
        }
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let hole = nix::fcntl::FallocateFlags::FALLOC_FL_PUNCH_HOLE | nix::fcntl::FallocateFlags::FALLOC_FL_KEEP_SIZE;
        nix::fcntl::fallocate(&standing.file, hole, signed(from), signed(to - from))
            .map_err(|errno| memory("emptied")(errno.into()))
    }

    /// A call has changed the file: what is behind its end is gone.
    ///
    /// # Errors
    /// When it cannot be changed.
    pub(crate) fn changed(&mut self, state: FileState) -> Result<(), MappedError> {
        let id = FileId::from(state);
        let shorter = match self.0.get_mut(&id) {
            Some(standing) => std::mem::replace(&mut standing.size, state.size) > state.size,
            None => false,
        };
        if shorter { self.clear(id, state.size, LONGEST) } else { Ok(()) }
    }

    /// Writes memory of the process, also where it is a mapping that allows no writing.
    ///
    /// # Errors
    /// When it is not mapped.
    pub(crate) fn write(
        &self,
        stopped: &Stopped,
        areas: &FileAreas,
        mut address: u64,
        mut bytes: &[u8],
    ) -> Result<(), MappedError> {
        while !self.0.is_empty()
            && !bytes.is_empty()
            && let Some(standing) =
                areas.next_standing(address).filter(|s| s.start < address.saturating_add(bytes.len() as u64))
        {
            let before = abi::size(standing.start.saturating_sub(address));
            if before > 0 {
                stopped.write(address, &bytes[..before])?;
            }
            let at = address.max(standing.start);
            let here = abi::size(standing.end - at).min(bytes.len() - before);
            match self.0.get(&standing.file) {
                Some(file) => file
                    .file
                    .write_all_at(&bytes[before..before + here], standing.offset + (at - standing.start))
                    .map_err(memory("written"))?,
                None => stopped.write(at, &bytes[before..before + here])?,
            }
            address = at + here as u64;
            bytes = &bytes[before + here..];
        }
        if !bytes.is_empty() {
            stopped.write(address, bytes)?;
        }
        Ok(())
    }

    /// What stands for a file, and how long that is.
    pub(crate) fn get(&self, file: FileId) -> Option<(&File, u64)> {
        self.0.get(&file).map(|standing| (&standing.file, standing.size))
    }

    /// The descriptors that the process has of them: to be closed before it gets its own.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.values().map(|standing| standing.number)
    }
}

//! Files: offsets, locks, names.
//!
//! A file is known by its path. Renames and removals that the server itself does are followed; what others do to the file
//! is not seen.

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::{Call, ModelError, i64_at, u64_at};
use super::descriptor::{DescriptionId, Object};
use super::path::PathBytes;

/// Flags of open(2) that count only while opening.
const OPENING: i32 = libc::O_CREAT | libc::O_EXCL | libc::O_NOCTTY | libc::O_TRUNC | libc::O_CLOEXEC | libc::O_NOFOLLOW;
const PROC_DIRECTORIES: [&[u8]; 3] = [b"/dev", b"/proc", b"/sys"];

/// Where the next read or write begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Offset {
    /// Bytes from the start (for a directory, the cookie of the last entry read).
    At(u64),
    /// The end of the file as it is: the server has just appended.
    End,
}

/// An open file or directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its absolute path, symbolic links resolved.
    pub path: PathBytes,
    /// The file offset.
    pub offset: Offset,
    /// The server removed the name: the file cannot be opened again.
    pub unlinked: bool,
}

impl File {
    fn advance(&mut self, bytes: u64) {
        if let Offset::At(at) = self.offset {
            self.offset = Offset::At(at.saturating_add(bytes));
        }
    }

    pub(super) fn read(&mut self, bytes: u64) {
        self.advance(bytes);
    }

    pub(super) fn wrote(&mut self, bytes: u64, append: bool) {
        if append {
            self.offset = Offset::End;
        } else {
            self.advance(bytes);
        }
    }
}

/// A byte-range lock (fcntl(2), F_SETLK, F_OFD_SETLK).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeLock {
    /// First byte.
    pub start: u64,
    /// First byte behind it; `u64::MAX` to the end of the file, however far that moves.
    pub end: u64,
    /// A write lock.
    pub exclusive: bool,
    /// Belongs to the description (F_OFD_SETLK) rather than the process.
    pub description: bool,
}

/// Locks that the server holds through a description.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Locks {
    /// flock(2): whether exclusive.
    pub whole: Option<bool>,
    /// Byte ranges that do not overlap.
    pub ranges: Vec<RangeLock>,
}

impl Locks {
    /// Removes a range from those held.
    fn cut(&mut self, start: u64, end: u64, description: bool) {
        let old = std::mem::take(&mut self.ranges);
        for lock in old {
            if lock.description != description || lock.end <= start || end <= lock.start {
                self.ranges.push(lock);
                continue;
            }
            if lock.start < start {
                self.ranges.push(RangeLock { end: start, ..lock });
            }
            if end < lock.end {
                self.ranges.push(RangeLock { start: end, ..lock });
            }
        }
    }
}

impl Kernel {
    /// open(2) and its kin: `name` is the argument with the path, `dir` the one with the directory.
    pub(super) fn open(
        &mut self,
        call: &Call<'_>,
        dir: Option<usize>,
        name: u16,
        flags: i32,
    ) -> Result<(), ModelError> {
        let path = match call.resolved_path()? {
            Some(path) => path,
            None => self.path_at(call, dir.map_or(libc::AT_FDCWD, |index| call.int(index)), call.input(name)?)?,
        };
        let cloexec = flags & libc::O_CLOEXEC != 0;
        let unlinked = flags & libc::O_TMPFILE == libc::O_TMPFILE;
        let object = if PROC_DIRECTORIES.iter().any(|dir| path.is_below(dir)) && !path.is_below(b"/dev/shm") {
            Object::Device { path }
        } else if flags & libc::O_DIRECTORY != 0 && !unlinked {
            Object::Directory(File { path, offset: Offset::At(0), unlinked })
        } else {
            Object::File(File { path, offset: Offset::At(0), unlinked })
        };
        self.descriptors.open(call, call.made()?, object, flags & !OPENING, cloexec)?;
        Ok(())
    }

    /// What a path means that stands beside a directory descriptor.
    pub(super) fn path_at(&self, call: &Call<'_>, dir: i32, name: &[u8]) -> Result<PathBytes, ModelError> {
        match self.descriptors.get(dir).map(|d| &d.object) {
            Some(Object::Directory(file) | Object::File(file)) => {
                call.bounded(file.path.join(&self.identity.root, name))
            }
            _ => self.identity.resolve(call, name),
        }
    }

    pub(super) fn lseek(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        if let Object::File(file) | Object::Directory(file) = &mut self.descriptors.get_mut(call, call.int(0))?.object {
            file.offset = Offset::At(call.count());
        }
        Ok(())
    }

    pub(super) fn getdents(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let entries = call.output(1);
        let (mut rest, mut cookie) = (entries.as_ref(), None);
        // struct linux_dirent64: inode (8), cookie of the next entry (8), length (2) ...
        while let Some(header) = rest.first_chunk::<18>() {
            cookie = Some(u64_at(header, 8));
            let len = usize::from(u16::from_le_bytes([header[16], header[17]])).max(1);
            rest = rest.get(len..).unwrap_or(&[]);
        }
        let object = &mut self.descriptors.get_mut(call, call.int(0))?.object;
        if let Object::File(file) = object {
            // Opened without O_DIRECTORY: only now it shows what it is.
            *object = Object::Directory(file.clone());
        }
        if let (Object::Directory(directory), Some(cookie)) = (object, cookie) {
            directory.offset = Offset::At(cookie);
        }
        Ok(())
    }

    pub(super) fn copy_file_range(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        for (fd, offset) in [(0, 1), (2, 3)] {
            if let (Object::File(file), 0) =
                (&mut self.descriptors.get_mut(call, call.int(fd))?.object, call.arg(offset))
            {
                file.advance(call.count());
            }
        }
        Ok(())
    }

    pub(super) fn flock(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let locks = &mut self.descriptors.get_mut(call, call.int(0))?.locks;
        locks.whole = match call.int(1) & !libc::LOCK_NB {
            libc::LOCK_SH => Some(false),
            libc::LOCK_EX => Some(true),
            _ => None,
        };
        Ok(())
    }

    /// F_SETLK and its kin; the record holds struct flock.
    pub(super) fn range_lock(&mut self, call: &Call<'_>, description: bool) -> Result<(), ModelError> {
        let request = call.input_array::<32>(2)?;
        let short = |at: usize| i32::from(i16::from_le_bytes([request[at], request[at + 1]]));
        let (kind, whence) = (short(0), short(2));
        let (start, len) = (i64_at(&request, 8), i64_at(&request, 16));
        let id = self.descriptors.id(call, call.int(0))?;
        let file = self.descriptors.get_mut(call, call.int(0))?;
        let base = match (&file.object, whence) {
            (_, libc::SEEK_SET) => 0,
            (Object::File(File { offset: Offset::At(at), .. }), libc::SEEK_CUR) => {
                i64::try_from(*at).unwrap_or(i64::MAX)
            }
            // Where the end of the file was is not known: such a lock is not carried.
            _ => return Ok(()),
        };
        let near = base.saturating_add(start);
        let (near, far) = match len {
            0 => (near, i64::MAX),
            _ if len > 0 => (near, near.saturating_add(len)),
            _ => (near.saturating_add(len), near),
        };
        let start = u64::try_from(near).unwrap_or(0);
        let end = if len == 0 { u64::MAX } else { u64::try_from(far).unwrap_or(0) };
        for other in self.same_file(id, description) {
            if let Some(other) = self.descriptors.by_id_mut(other) {
                other.locks.cut(start, end, description);
            }
        }
        if kind != libc::F_UNLCK && start < end {
            self.posix_locks |= !description;
            let exclusive = kind == libc::F_WRLCK;
            let lock = RangeLock { start, end, exclusive, description };
            self.descriptors.get_mut(call, call.int(0))?.locks.ranges.push(lock);
        }
        Ok(())
    }

    /// POSIX locks belong to process and file, whatever description they were taken through; others to one description.
    fn same_file(&self, id: DescriptionId, description: bool) -> Vec<DescriptionId> {
        match self.descriptors.description(id).map(|d| &d.object) {
            Some(Object::File(file)) if !description => self.open_on(&file.path),
            _ => vec![id],
        }
    }

    fn open_on(&self, path: &PathBytes) -> Vec<DescriptionId> {
        let is_it = |object: &Object| matches!(object, Object::File(file) if file.path == *path);
        self.descriptors.descriptions().filter(|(_, d)| is_it(&d.object)).map(|(id, _)| id).collect()
    }

    /// Closing any descriptor of a file ends all POSIX locks of the process on it (fcntl(2)).
    pub(super) fn end_posix_locks(&mut self, path: &PathBytes) {
        for id in self.open_on(path) {
            if let Some(description) = self.descriptors.by_id_mut(id) {
                description.locks.ranges.retain(|lock| lock.description);
            }
        }
    }

    pub(super) fn rename(&mut self, call: &Call<'_>, from: (i32, u16), to: (i32, u16)) -> Result<(), ModelError> {
        let exchange = call.number() == libc::SYS_renameat2 && call.arg(4) & u64::from(libc::RENAME_EXCHANGE) != 0;
        let from = self.path_at(call, from.0, call.input(from.1)?)?;
        let to = self.path_at(call, to.0, call.input(to.1)?)?;
        self.each_file(|file| {
            if let Some(path) = file.path.renamed(&from, &to) {
                file.path = call.bounded(path)?;
            } else if exchange && let Some(path) = file.path.renamed(&to, &from) {
                file.path = call.bounded(path)?;
            } else if file.path == to {
                file.unlinked = true;
            }
            Ok(())
        })?;
        if let Some(cwd) = self.identity.cwd.renamed(&from, &to) {
            self.identity.cwd = call.bounded(cwd)?;
        }
        Ok(())
    }

    pub(super) fn unlink(&mut self, call: &Call<'_>, dir: i32, name: u16) -> Result<(), ModelError> {
        let path = self.path_at(call, dir, call.input(name)?)?;
        self.each_file(|file| {
            file.unlinked |= file.path == path;
            Ok(())
        })
    }

    fn each_file(&mut self, mut change: impl FnMut(&mut File) -> Result<(), ModelError>) -> Result<(), ModelError> {
        for description in self.descriptors.descriptions.values_mut() {
            if let Object::File(file) | Object::Directory(file) = &mut description.object
                && !file.unlinked
            {
                change(file)?;
            }
        }
        Ok(())
    }
}

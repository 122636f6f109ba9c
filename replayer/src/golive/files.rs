//! Files, directories, devices, what was inherited, locks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use common::abi;
use common::kernel::{Description, DescriptionId, File, Inherited, Locks, Object, Offset, PathBytes, RangeLock};

use super::{GoLiveError, Revival, made, sys};

/// Flags that count when a file is opened again. O_NONBLOCK is added, lest a FIFO waits for its other end.
fn opening(flags: i32) -> i32 {
    (flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC)) | libc::O_NONBLOCK | libc::O_NOCTTY
}

/// What stands in for something that is lost: reading, writing and waiting give EBADF.
pub(super) fn lost() -> Result<OwnedFd, GoLiveError> {
    sys::open(Path::new("/"), libc::O_PATH).map_err(made("a descriptor for something that is lost"))
}

impl Revival<'_> {
    /// 0 to 2 are ftrun's own; others are opened again if they are files. Status flags stay as they are here: the description
    /// is shared with whoever started ftrun.
    pub(super) fn inherited(
        &mut self,
        id: DescriptionId,
        inherited: &Inherited,
        flags: i32,
    ) -> Result<OwnedFd, GoLiveError> {
        let own = match inherited.number {
            0 => io::stdin().as_fd().try_clone_to_owned(),
            1 => io::stdout().as_fd().try_clone_to_owned(),
            2 => io::stderr().as_fd().try_clone_to_owned(),
            _ if inherited.what.0.starts_with(b"/") => return self.open_path(id, &inherited.what, flags),
            _ => {
                self.lose(id, inherited.what.to_string(), "was inherited and is not here: it gives EBADF from now on");
                return lost();
            }
        };
        // Closed here as well as it may be closed where ftrun was started.
        own.or_else(|_| sys::open(Path::new("/dev/null"), libc::O_RDWR)).map_err(made("a standard descriptor"))
    }

    pub(super) fn open_path(
        &mut self,
        id: DescriptionId,
        path: &PathBytes,
        flags: i32,
    ) -> Result<OwnedFd, GoLiveError> {
        match sys::open(&self.here(path)?, opening(flags)) {
            Ok(fd) => Ok(fd),
            Err(error) => {
                self.lose(id, path.to_string(), format!("cannot be opened ({error}): it gives EBADF from now on"));
                lost()
            }
        }
    }

    /// Files that the kernel makes up about the server itself are about another process now.
    fn here(&mut self, path: &PathBytes) -> Result<PathBuf, GoLiveError> {
        let about_itself = format!("/proc/{}", self.kernel.identity().pid);
        Ok(match path.as_path().strip_prefix(about_itself) {
            Err(_) => path.as_path().to_owned(),
            Ok(rest) => {
                let real = self.server.run("getpid", libc::SYS_getpid, [0; 6])?;
                Path::new("/proc").join(real.to_string()).join(rest)
            }
        })
    }

    pub(super) fn reopen(
        &mut self,
        id: DescriptionId,
        file: &File,
        description: &Description,
    ) -> Result<OwnedFd, GoLiveError> {
        if file.unlinked {
            self.lose(id, file.path.to_string(), "was removed while open: it gives EBADF from now on");
            return lost();
        }
        let fd = self.open_path(id, &file.path, description.flags)?;
        let offset = match file.offset {
            Offset::At(0) => return Ok(fd),
            Offset::At(offset) => Some(offset),
            Offset::End => None,
        };
        match sys::seek(fd.as_fd(), offset) {
            // What cannot be opened has been reported already, and what cannot seek (a FIFO) has no offset.
            Err(error) if !matches!(error.raw_os_error(), Some(libc::EBADF | libc::ESPIPE)) => {
                self.lose(id, file.path.to_string(), format!("has lost its offset: {error}"));
            }
            _ => {}
        }
        Ok(fd)
    }

    /// Locks that belong to the description can be taken before it is placed.
    pub(super) fn lock_whole(&mut self, id: DescriptionId, fd: BorrowedFd<'_>, locks: &Locks) {
        let mut failed = Vec::new();
        if let Some(exclusive) = locks.whole {
            let kind = if exclusive { libc::LOCK_EX } else { libc::LOCK_SH };
            failed.extend(sys::flock(fd, kind | libc::LOCK_NB).err());
        }
        for lock in locks.ranges.iter().filter(|lock| lock.description) {
            failed.extend(sys::lock_range(fd, &flock(lock)).err());
        }
        for error in failed {
            self.lose(id, "a file lock", format!("could not be taken again: {error}"));
        }
    }

    /// POSIX locks belong to the process: the server takes them itself.
    pub(super) fn take_process_locks(&mut self) -> Result<(), GoLiveError> {
        for (id, description) in self.kernel.descriptors().descriptions() {
            let Some(&(number, _)) = self.numbers.get(&id).and_then(|numbers| numbers.first()) else {
                continue;
            };
            for lock in description.locks.ranges.iter().filter(|lock| !lock.description) {
                let address = self.server.bytes(&flock_bytes(lock))?;
                let args = [abi::word(number), libc::F_SETLK as u64, address, 0, 0, 0];
                if let Err(error) = self.server.try_run(libc::SYS_fcntl, args)? {
                    let what = match &description.object {
                        Object::File(file) => format!("a lock on {}", file.path),
                        other => format!("a lock on {}", other.kind()),
                    };
                    self.lose(id, what, format!("could not be taken again: {error}"));
                }
            }
        }
        Ok(())
    }
}

fn extent(lock: &RangeLock) -> (i64, i64) {
    let start = i64::try_from(lock.start).unwrap_or(i64::MAX);
    let len = if lock.end == u64::MAX { 0 } else { i64::try_from(lock.end - lock.start).unwrap_or(0) };
    (start, len)
}

#[expect(clippy::cast_possible_truncation, reason = "struct flock keeps these small numbers in 16 bits")]
fn kind(lock: &RangeLock) -> i16 {
    (if lock.exclusive { libc::F_WRLCK } else { libc::F_RDLCK }) as i16
}

#[expect(clippy::cast_possible_truncation, reason = "struct flock keeps these small numbers in 16 bits")]
fn flock(lock: &RangeLock) -> libc::flock {
    let (l_start, l_len) = extent(lock);
    libc::flock { l_type: kind(lock), l_whence: libc::SEEK_SET as i16, l_start, l_len, l_pid: 0 }
}

/// struct flock as the kernel reads it: type (2), whence (2), padding (4), start (8), length (8), pid (4), padding (4).
fn flock_bytes(lock: &RangeLock) -> [u8; 32] {
    let (start, len) = extent(lock);
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&kind(lock).to_le_bytes());
    bytes[8..16].copy_from_slice(&start.to_le_bytes());
    bytes[16..24].copy_from_slice(&len.to_le_bytes());
    bytes
}

//! Files as the server has them: by descriptor, by the path that a call was given, by mapping.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::record::FileState;

pub(crate) use self::areas::{FileArea, is_shared, whole};
pub use self::areas::{FileAreas, Mapped, SharedCopy, Standing, maps_shared_file};

mod areas;

/// A file, whatever name or descriptor leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl From<FileState> for FileId {
    fn from(state: FileState) -> Self {
        Self { device: state.device, inode: state.inode }
    }
}

impl FileId {
    /// `None` for what is no regular file.
    pub(crate) fn of_descriptor(pid: i32, fd: i32) -> Option<Self> {
        Self::of_path(&descriptor_path(pid, fd))
    }

    /// `None` for what is no regular file.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        state_of(path).map(Self::from)
    }
}

/// How ftrun reaches what a descriptor is open on.
pub(crate) fn descriptor_path(pid: i32, fd: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/fd/{fd}"))
}

/// What stands in the log of a regular file.
pub(crate) fn state_of(path: &Path) -> Option<FileState> {
    let meta = std::fs::metadata(path).ok()?;
    meta.is_file().then(|| FileState { device: meta.dev(), inode: meta.ino(), size: meta.len() })
}

/// A path as a call was given it, with or without its NUL.
pub(crate) fn given_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes.split(|&byte| byte == 0).next().unwrap_or_default()))
}

/// How ftrun reaches what a path is for a process.
pub(crate) fn reached(pid: i32, given: &[u8]) -> PathBuf {
    let (given, base) = (given_path(given), PathBuf::from(format!("/proc/{pid}")));
    if let Ok(own) = given.strip_prefix("/proc/self") {
        return base.join(own);
    }
    given.strip_prefix("/").map_or_else(|_| base.join("cwd").join(given), |inner| base.join("root").join(inner))
}

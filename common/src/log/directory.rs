//! A log directory: a snapshot and the log from there on, as files that can be replayed offline.
//!
//! ```text
//! DIR/snapshot              the manifest, see crate::snapshot
//! DIR/content               the memory contents that it names
//! DIR/log-<first LSN>.seg   segments, see super::segment; together they hold the log without a gap
//! ```
//!
//! `snapshot` is written last and appears whole: a directory with it has everything else that a replay needs. A log grows by
//! whole frames. When its writer is killed, the last segment may end within a frame: what stands before is sound and is
//! read. Anything else that is not as written is an error.

mod reader;
mod writer;

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use self::reader::{Entry, Reader, Tail};
pub use self::writer::{SEGMENT_LEN, Writer};
use super::frame::FrameError;
use super::segment::SegmentError;
use crate::ids::Lsn;
use crate::snapshot::{SnapshotError, StoreError};

const SNAPSHOT: &str = "snapshot";
const CONTENT: &str = "content";

/// Why a log directory cannot be written or read.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file system failed: a full disk, no permission, no such directory.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said, with its error number.
        source: io::Error,
    },
    /// The directory must not be written to.
    #[error("{} already holds a log ({found}): name another directory or remove it", dir.display())]
    Exists {
        /// The directory.
        dir: PathBuf,
        /// The file that says so.
        found: String,
    },
    /// There is no directory.
    #[error("{} is no directory: expected one that `ftrun record` has written", dir.display())]
    NoDirectory {
        /// What was named.
        dir: PathBuf,
    },
    /// The directory is not one that can be read.
    #[error("{} holds no log, there is no file `snapshot`: it is no recording, or its recorder was stopped before it began", dir.display())]
    NoLog {
        /// The directory.
        dir: PathBuf,
    },
    /// The snapshot's manifest.
    #[error("{}: {source}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SnapshotError,
    },
    /// The snapshot's contents.
    #[error(transparent)]
    Content(#[from] StoreError),
    /// A segment's name or header.
    #[error("{}: {source}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SegmentError,
    },
    /// A file that is named like a segment and is none.
    #[error("{} is no segment's name: expected log-<first LSN as 16 hexadecimal digits>.seg", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
    /// Part of the log is not there.
    #[error("{}: the segment that begins at LSN {expected} is missing, the next begins at {found}", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
        /// Where the log stands.
        expected: Lsn,
        /// Where it could go on, or `none`.
        found: String,
    },
    /// A frame.
    #[error("{}, offset {offset}: {source}", path.display())]
    Frame {
        /// The segment.
        path: PathBuf,
        /// Where in it the frame begins, in bytes.
        offset: u64,
        /// What is wrong.
        source: FrameError,
    },
    /// The log goes on behind the end of the server.
    #[error("{}, offset {offset}: the log goes on behind the End record at LSN {end}, expected nothing", path.display())]
    AfterEnd {
        /// The segment.
        path: PathBuf,
        /// Where in it the frame begins that holds or follows the End record, in bytes.
        offset: u64,
        /// Of the End record.
        end: Lsn,
    },
    /// A write failed before: what follows would leave a gap.
    #[error("{}: an earlier write to this log has failed, nothing more is written to it", dir.display())]
    Failed {
        /// The directory.
        dir: PathBuf,
    },
}

fn at(path: &Path) -> impl Fn(io::Error) -> LogError + '_ {
    |source| LogError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;

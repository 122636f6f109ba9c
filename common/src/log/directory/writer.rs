//! The writing end of a log directory.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{CONTENT, LogError, SNAPSHOT, at};
use crate::ids::{Epoch, Lsn};
use crate::log::frame::{FrameError, FrameHeader, FrameReader};
use crate::log::segment::{self, SEGMENT_HEADER_LEN};
use crate::snapshot::{ContentFile, ContentSource, Manifest};

/// Bytes after which a segment is closed and the next one begun, where nothing else is asked for.
pub const SEGMENT_LEN: u64 = 64 << 20;

/// Writes a log directory. What was appended survives the death of the writing process, not that of the machine: for that,
/// [`Writer::sync`].
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    log_id: u64,
    segment_len: u64,
    follow: FrameReader,
    /// Where the current segment begins in the log.
    first: Lsn,
    path: PathBuf,
    file: File,
    len: u64,
    failed: bool,
}

impl Writer {
    /// Begins a log in `dir`, which is made if it does not exist: writes the snapshot with its contents from `source` and an
    /// empty first segment. A segment is closed once it would exceed `segment_len` bytes; a single frame may.
    ///
    /// # Errors
    /// When the directory holds a log already, a content is missing, or a file cannot be written.
    pub fn create(
        dir: impl Into<PathBuf>,
        manifest: &Manifest,
        source: &dyn ContentSource,
        segment_len: u64,
    ) -> Result<Self, LogError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        for entry in fs::read_dir(&dir).map_err(at(&dir))? {
            let found = entry.map_err(at(&dir))?.file_name().to_string_lossy().into_owned();
            if found == SNAPSHOT || found == CONTENT || found.starts_with("log-") {
                return Err(LogError::Exists { dir, found });
            }
        }
        let snapshot = dir.join(SNAPSHOT);
        let encoded = manifest.encode().map_err(|source| LogError::Snapshot { path: snapshot.clone(), source })?;
        ContentFile::write(&dir.join(CONTENT), manifest.log_id, &manifest.hashes(), source)?;
        let (path, file) = begin(&dir, manifest.log_id, manifest.lsn)?;
        let temporary = dir.join("snapshot.tmp");
        File::create(&temporary)
            .and_then(|mut file| file.write_all(&encoded).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, &snapshot))
            .map_err(at(&snapshot))?;
        Ok(Self {
            dir,
            log_id: manifest.log_id,
            segment_len,
            follow: FrameReader::new(manifest.lsn, Epoch::default()),
            first: manifest.lsn,
            path,
            file,
            len: SEGMENT_HEADER_LEN as u64,
            failed: false,
        })
    }

    /// Appends the bytes of one frame, as [`crate::log::sealer::Sealer`] made them, by one write(2). After an error the log ends
    /// with the frame before and takes no more.
    ///
    /// # Errors
    /// When the frame does not continue the log, or cannot be written: the message names the file and the system's error.
    pub fn append(&mut self, sealed: &[u8]) -> Result<(), LogError> {
        if self.failed {
            return Err(LogError::Failed { dir: self.dir.clone() });
        }
        let first = self.follow.next_lsn();
        self.check(sealed).map_err(|source| LogError::Frame { path: self.path.clone(), offset: self.len, source })?;
        self.write(first, sealed).inspect_err(|_| {
            self.failed = true;
            // Takes back what was written of the frame. Where that fails too, a reader finds a torn tail.
            let _ = self.file.set_len(self.len);
        })
    }

    fn check(&mut self, sealed: &[u8]) -> Result<(), FrameError> {
        let found = sealed.len();
        let (header, payload) = sealed.split_first_chunk().ok_or(FrameError::Short { found })?;
        let header = FrameHeader::decode(header)?;
        if payload.len() != header.stored as usize {
            let (expected, found) = (u64::from(header.stored), payload.len() as u64);
            return Err(FrameError::PayloadLength { lsn: header.first_lsn, expected, found });
        }
        self.follow.follow(&header)
    }

    fn write(&mut self, first: Lsn, sealed: &[u8]) -> Result<(), LogError> {
        let sealed_len = sealed.len() as u64;
        // Frames without records do not move the log on: behind them a new segment would need the name of this one.
        if first > self.first && self.len.saturating_add(sealed_len) > self.segment_len {
            (self.path, self.file) = begin(&self.dir, self.log_id, first)?;
            self.len = SEGMENT_HEADER_LEN as u64;
            self.first = first;
        }
        self.file.write_all(sealed).map_err(at(&self.path))?;
        self.len += sealed_len;
        Ok(())
    }

    /// Lets the current segment go on in another file: how a test meets a full disk.
    #[cfg(test)]
    pub(super) fn onto(self, file: File, path: impl Into<PathBuf>) -> Self {
        Self { file, path: path.into(), segment_len: u64::MAX, ..self }
    }

    /// Where the log stands: the LSN of the next record.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.follow.next_lsn()
    }

    /// Waits until everything appended to the current segment is on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.file.sync_data().map_err(at(&self.path))
    }
}

fn begin(dir: &Path, log_id: u64, first: Lsn) -> Result<(PathBuf, File), LogError> {
    let path = dir.join(segment::file_name(first));
    let mut file = File::create_new(&path).map_err(at(&path))?;
    file.write_all(&segment::header(log_id, first)).map_err(at(&path))?;
    Ok((path, file))
}

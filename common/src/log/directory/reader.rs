//! The reading end of a log directory.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{CONTENT, LogError, SNAPSHOT, at};
use crate::ids::{Epoch, Lsn};
use crate::log::frame::{FRAME_HEADER_LEN, FRAME_MAGIC, Frame, FrameError, FrameHeader, FrameReader};
use crate::log::segment::{self, SEGMENT_HEADER_LEN, SegmentError};
use crate::record::{Kind, Record};
use crate::snapshot::{ContentFile, Manifest};

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// With the End record: the server has ended.
    Ended,
    /// With a whole frame: the recorder was stopped while the server ran.
    Open,
    /// Within a frame or a segment's header: the recorder was killed while it wrote.
    Torn {
        /// The first LSN that is not whole.
        lsn: Lsn,
        /// Bytes of it that are there.
        bytes: u64,
    },
}

/// One record and what its frame says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in the log.
    pub lsn: Lsn,
    /// The epoch that its writer acted in.
    pub epoch: Epoch,
    /// The writer's CLOCK_MONOTONIC in nanoseconds when the frame was sealed.
    pub time: u64,
    /// The record.
    pub record: Record,
}

/// Reads a log directory. As an iterator it gives the records, in order, and ends behind the last whole frame or the first
/// error; then [`Reader::tail`] tells how the log ends. A frame is checked whole before its first record is given.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    manifest: Manifest,
    content: ContentFile,
    segments: Vec<(Lsn, PathBuf)>,
    /// Index of the segment to open next.
    next_segment: usize,
    open: Option<Segment>,
    follow: FrameReader,
    /// Of the End record, once its frame was read.
    end: Option<Lsn>,
    tail: Option<Tail>,
    /// Bytes of the frames read.
    stored: u64,
    failed: bool,
    /// The records of the frame read last that were not given yet.
    pending: VecDeque<Entry>,
}

/// The segment being read.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes of the file that were there when it was opened.
    len: u64,
    /// Where the next frame begins.
    offset: u64,
    last: bool,
}

impl Reader {
    /// Opens the log in `dir`, reads its snapshot and finds its segments.
    ///
    /// # Errors
    /// When there is no whole log, or snapshot or contents are damaged.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, LogError> {
        let dir = dir.into();
        let path = dir.join(SNAPSHOT);
        let encoded = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound && dir.is_dir() => return Err(LogError::NoLog { dir }),
            Err(_) if !dir.is_dir() => return Err(LogError::NoDirectory { dir }),
            other => other.map_err(at(&path))?,
        };
        let manifest = Manifest::decode(&encoded).map_err(|source| LogError::Snapshot { path, source })?;
        let content = ContentFile::open(&dir.join(CONTENT), manifest.log_id)?;
        let follow = FrameReader::new(manifest.lsn, Epoch::default());
        Ok(Self {
            segments: segments(&dir)?,
            dir,
            manifest,
            content,
            next_segment: 0,
            open: None,
            follow,
            end: None,
            tail: None,
            stored: 0,
            failed: false,
            pending: VecDeque::new(),
        })
    }

    /// The snapshot that the log begins with.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The memory contents of the snapshot.
    #[must_use]
    pub fn content(&self) -> &ContentFile {
        &self.content
    }

    /// How the log ends: known once everything before was read without an error.
    #[must_use]
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// The LSN behind the last frame read.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.follow.next_lsn()
    }

    /// What the frames read take up on the disk, with their headers, in bytes.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.stored
    }

    /// The next frame, `None` at the end of the log. Records of the frame before that were not read are passed over.
    ///
    /// # Errors
    /// When the log is damaged or part of it is missing. Nothing is read after an error.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'static>>, LogError> {
        if self.failed || self.tail.is_some() {
            return Ok(None);
        }
        let frame = self.advance().inspect_err(|_| self.failed = true)?;
        self.pending.clear();
        Ok(frame)
    }

    fn advance(&mut self) -> Result<Option<Frame<'static>>, LogError> {
        loop {
            let Some(mut segment) = self.open.take().map_or_else(|| self.open_next(), |open| Ok(Some(open)))? else {
                return Ok(None);
            };
            if segment.offset < segment.len {
                return match self.read(&mut segment)? {
                    Some(frame) => {
                        self.open = Some(segment);
                        Ok(Some(frame))
                    }
                    None => Ok(None),
                };
            }
            if segment.last {
                self.tail = Some(if self.end.is_some() { Tail::Ended } else { Tail::Open });
                return Ok(None);
            }
        }
    }

    /// Opens the next segment and checks its header; `None` when its header is cut, which ends the log.
    fn open_next(&mut self) -> Result<Option<Segment>, LogError> {
        let expected = self.follow.next_lsn();
        let Some((first, path)) = self.segments.get(self.next_segment).cloned() else {
            return Err(LogError::Missing { dir: self.dir.clone(), expected, found: "none".to_owned() });
        };
        if let Some(end) = self.end {
            return Err(LogError::AfterEnd { path, offset: 0, end });
        }
        if first != expected {
            return Err(LogError::Missing { dir: self.dir.clone(), expected, found: first.to_string() });
        }
        self.next_segment += 1;
        let last = self.next_segment == self.segments.len();
        let file = File::open(&path).map_err(at(&path))?;
        let len = file.metadata().map_err(at(&path))?.len();
        let mut segment = Segment { path, file: BufReader::new(file), len, offset: 0, last };
        let header = segment.take(len.min(SEGMENT_HEADER_LEN as u64))?;
        let fail = |source| LogError::Segment { path: segment.path.clone(), source };
        if segment::check_header(&header, self.manifest.log_id, first).map_err(fail)? {
            return Ok(Some(segment));
        }
        if !last {
            return Err(fail(SegmentError::Short { found: header.len() }));
        }
        self.tail = Some(Tail::Torn { lsn: first, bytes: len });
        Ok(None)
    }

    /// Reads the frame at the segment's offset; `None` when it is cut, which ends the log.
    fn read(&mut self, segment: &mut Segment) -> Result<Option<Frame<'static>>, LogError> {
        let (offset, left) = (segment.offset, segment.len - segment.offset);
        let path = segment.path.clone();
        if let Some(end) = self.end {
            return Err(LogError::AfterEnd { path, offset, end });
        }
        let fail = |source| LogError::Frame { path: path.clone(), offset, source };
        let torn = Tail::Torn { lsn: self.follow.next_lsn(), bytes: left };
        let bytes = segment.take(left.min(FRAME_HEADER_LEN as u64))?;
        let Some(header) = bytes.first_chunk() else {
            let magic = FRAME_MAGIC.to_le_bytes();
            let there = bytes.len().min(magic.len());
            if !segment.last {
                return Err(fail(FrameError::Short { found: bytes.len() }));
            }
            if bytes[..there] != magic[..there] {
                let mut found = [0; 4];
                found[..there].copy_from_slice(&bytes[..there]);
                return Err(fail(FrameError::Magic { found: u32::from_le_bytes(found) }));
            }
            self.tail = Some(torn);
            return Ok(None);
        };
        let header = FrameHeader::decode(header).map_err(fail)?;
        self.follow.follow(&header).map_err(fail)?;
        let (expected, found) = (u64::from(header.stored), left - FRAME_HEADER_LEN as u64);
        if found < expected {
            if !segment.last {
                return Err(fail(FrameError::PayloadLength { lsn: header.first_lsn, expected, found }));
            }
            self.follow = FrameReader::new(header.first_lsn, self.follow.epoch());
            self.tail = Some(torn);
            return Ok(None);
        }
        let payload = segment.take(expected)?;
        let frame = header.open(payload).map_err(fail)?;
        if let Some(end) = self.decode(&frame).map_err(fail)? {
            return Err(LogError::AfterEnd { path, offset, end });
        }
        self.stored += FRAME_HEADER_LEN as u64 + expected;
        Ok(Some(frame))
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, LogError> {
        loop {
            if let Some(entry) = self.pending.pop_front() {
                return Ok(Some(entry));
            }
            if self.tail.is_some() || self.advance()?.is_none() {
                return Ok(None);
            }
        }
    }

    /// Decodes the records of a frame, so that a frame which is given out holds whole, known records only. Gives the LSN of
    /// an End record that is not the last.
    fn decode(&mut self, frame: &Frame<'_>) -> Result<Option<Lsn>, FrameError> {
        let FrameHeader { epoch, time, .. } = frame.header;
        self.pending.clear();
        for item in frame.records() {
            let (lsn, record) = item?;
            if self.end.is_some() {
                return Ok(self.end);
            }
            self.end = (record.kind == Kind::End).then_some(lsn);
            self.pending.push_back(Entry { lsn, epoch, time, record });
        }
        Ok(None)
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.next_entry();
        self.failed = item.is_err();
        item.transpose()
    }
}

impl Segment {
    fn take(&mut self, len: u64) -> Result<Vec<u8>, LogError> {
        let mut bytes = Vec::new();
        self.file.by_ref().take(len).read_to_end(&mut bytes).map_err(at(&self.path))?;
        if (bytes.len() as u64) < len {
            return Err(at(&self.path)(ErrorKind::UnexpectedEof.into()));
        }
        self.offset += len;
        Ok(bytes)
    }
}

fn segments(dir: &Path) -> Result<Vec<(Lsn, PathBuf)>, LogError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("log-") {
            let path = entry.path();
            let first = segment::parse_file_name(&name).ok_or_else(|| LogError::Name { path: path.clone() })?;
            segments.push((first, path));
        }
    }
    segments.sort();
    Ok(segments)
}

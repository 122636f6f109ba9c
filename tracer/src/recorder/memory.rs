//! Memory calls on the recording side: what a mapping of a file brought in goes into the log.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::abi;
use common::kernel::{Object, PathBytes};
use common::record::{FileState, Kind, Record, Segment, SegmentRole};
use common::snapshot::Area;
use common::syscall::{Memory, nr};

use super::writers::{self, InMaps};
use super::{InCall, Recorder, RecordingError, meta};
use crate::family::MappedFile;
use crate::instructions::{self, Trap};
use crate::interceptor;
use crate::launch::{self, LaunchError};
use crate::tracee::{Call, Stopped};

const PAGE: u64 = 4096;
const CHUNK: u64 = 64 << 10;
/// Modes of fallocate(2) that move what is behind.
const MOVING: i32 = libc::FALLOC_FL_COLLAPSE_RANGE | libc::FALLOC_FL_INSERT_RANGE;

/// A file, whatever name or descriptor leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
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

fn descriptor_path(pid: i32, fd: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/fd/{fd}"))
}

/// What stands in the log of a regular file.
fn state_of(path: &Path) -> Option<FileState> {
    let meta = std::fs::metadata(path).ok()?;
    meta.is_file().then(|| FileState { device: meta.dev(), inode: meta.ino(), size: meta.len() })
}

/// Whether the type of a mapping is MAP_SHARED (or MAP_SHARED_VALIDATE).
pub(crate) fn is_shared(flags: u64) -> bool {
    abi::int(flags) & libc::MAP_TYPE != libc::MAP_PRIVATE
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

/// Whether a call is mmap(2) of a file with MAP_SHARED.
#[must_use]
pub fn maps_shared_file(number: u16, args: &[u64; 6]) -> bool {
    number == nr::MMAP && args[3] & libc::MAP_ANONYMOUS as u64 == 0 && is_shared(args[3])
}

/// A mapped piece of a file.
#[derive(Debug, Clone)]
struct FileArea {
    end: u64,
    /// `None`: what the program was started from, or a copy.
    file: Option<FileId>,
    /// Where in the file it begins.
    offset: u64,
    shared: bool,
    /// In a replica: the bytes are there, the file is not mapped.
    copy: bool,
    /// Which file a copy is of, if it was opened by name.
    path: Option<PathBytes>,
    /// In a replica: the memory that stands for the file, the same for all its shared mappings.
    stands_for: Option<FileId>,
    /// PROT_WRITE was there at some time, and the mapping is shared.
    written: bool,
    /// The descriptor allowed writing.
    writable: bool,
}

impl FileArea {
    /// A mapping of which nothing is known but where it is.
    fn plain(end: u64, shared: bool, copy: bool) -> Self {
        Self { end, file: None, offset: 0, shared, copy, path: None, stands_for: None, written: false, writable: false }
    }
}

/// A mapping of memory that stands for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Which file.
    pub file: FileId,
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Where in the file it begins.
    pub offset: u64,
}

/// What a replica knows of the descriptor that a file is mapped through.
#[derive(Debug, Default)]
pub struct Mapped {
    /// The path that it was opened by, if that still leads to it.
    pub path: Option<PathBytes>,
    /// It allows writing.
    pub writable: bool,
    /// Which memory stands for it, if it is shared.
    pub file: Option<FileId>,
}

/// A copy of a file's piece that the primary had mapped with MAP_SHARED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCopy {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// The file, if it was opened by name.
    pub path: Option<PathBytes>,
    /// Where in the file it begins.
    pub offset: u64,
    /// The memory that stands for the file.
    pub file: Option<FileId>,
    /// The server may have written there.
    pub written: bool,
    /// The file was opened for writing.
    pub writable: bool,
}

/// Where files are mapped: after MADV_DONTNEED such memory holds the file again, not zeros, and what the server writes into
/// such a file shows in memory.
#[derive(Debug, Default, Clone)]
pub struct FileAreas(BTreeMap<u64, FileArea>);

impl FileAreas {
    /// What a snapshot holds of files, in a replica.
    #[must_use]
    pub fn in_snapshot(areas: &[Area]) -> Self {
        let files = areas.iter().filter(|area| area.name.starts_with('/'));
        let copy = |area: &Area| FileArea::plain(area.end, area.flags & Area::PRIVATE == 0, true);
        Self(files.map(|area| (area.start, copy(area))).collect())
    }

    /// Follows a memory call that succeeded at the primary, in a replica; `mapped` is what its descriptor is open on.
    pub fn follow(&mut self, record: &Record, mapped: Mapped) {
        let [start, len, third, flags] = [record.arg(0), record.arg(1), record.arg(2), record.arg(3)];
        match record.number {
            nr::MMAP => {
                let (start, end) = whole(abi::word(record.result), len);
                self.remove(start, end);
                if flags & libc::MAP_ANONYMOUS as u64 == 0 {
                    let shared = is_shared(flags);
                    let Mapped { path, writable, file } = mapped;
                    let written = shared && third & libc::PROT_WRITE as u64 != 0;
                    let stands_for = file.filter(|_| shared);
                    let plain = FileArea::plain(end, shared, true);
                    self.insert(
                        start,
                        FileArea { offset: record.arg(5), path, stands_for, written, writable, ..plain },
                    );
                }
            }
            nr::MPROTECT if third & libc::PROT_WRITE as u64 != 0 => {
                let (start, end) = whole(start, len);
                self.written(start, end);
            }
            nr::MUNMAP => {
                let (start, end) = whole(start, len);
                self.remove(start, end);
            }
            nr::MREMAP => {
                let (old_start, old_end) = whole(start, len);
                let (start, end) = whole(abi::word(record.result), third);
                let area = self.at(old_start);
                self.remove(old_start, old_end);
                self.remove(start, end);
                if let Some(area) = area {
                    self.insert(start, FileArea { end, ..area });
                }
            }
            _ => {}
        }
    }

    /// The copies in which the server would miss what is written to the file from now on.
    pub fn shared_copies(&self) -> impl Iterator<Item = SharedCopy> + '_ {
        self.0.iter().filter(|(_, area)| area.shared && area.copy).map(|(&start, area)| SharedCopy {
            start,
            len: area.end - start,
            path: area.path.clone(),
            offset: area.offset,
            file: area.stands_for,
            written: area.written,
            writable: area.writable,
        })
    }

    /// In a replica: the first mapping of memory that stands for a file that ends behind an address.
    #[must_use]
    pub fn next_standing(&self, address: u64) -> Option<Standing> {
        self.within(address, u64::MAX).find_map(|(start, area)| {
            Some(Standing { file: area.stands_for?, start, end: area.end, offset: area.offset })
        })
    }

    /// In a replica: whether memory that stands for this file is mapped anywhere.
    #[must_use]
    pub fn has_standing(&self, file: FileId) -> bool {
        self.0.values().any(|area| area.stands_for == Some(file))
    }

    /// PROT_WRITE comes to the shared mappings of files there.
    fn written(&mut self, start: u64, end: u64) {
        for (_, area) in self.0.range_mut(..end).filter(|(_, area)| area.end > start && area.shared) {
            area.written = true;
        }
    }

    /// A copy has been replaced by a mapping of the file.
    pub fn mapped_again(&mut self, copy: &SharedCopy) {
        if let (Some(area), Some(path)) = (self.0.get_mut(&copy.start), &copy.path) {
            (area.copy, area.stands_for) = (false, None);
            area.file = FileId::of_path(path.as_path());
        }
    }

    pub(super) fn of(pid: i32) -> Result<Self, LaunchError> {
        let files =
            launch::maps(pid)?.into_iter().filter(|m| m.name.starts_with('/') && !interceptor::is_own(m.start, m.end));
        let area = |m: launch::Mapping| (m.start, FileArea::plain(m.end, m.shared, false));
        Ok(Self(files.map(area).collect()))
    }

    fn within(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, FileArea)> + '_ {
        self.0.range(..end).filter(move |(_, area)| area.end > start).map(|(&start, area)| (start, area.clone()))
    }

    fn remove(&mut self, start: u64, end: u64) {
        let hit: Vec<(u64, FileArea)> = self.within(start, end).collect();
        for (s, area) in hit {
            self.0.remove(&s);
            if s < start {
                self.0.insert(s, FileArea { end: start, ..area.clone() });
            }
            if area.end > end {
                self.0.insert(end, FileArea { offset: area.offset + (end - s), ..area });
            }
        }
    }

    fn insert(&mut self, start: u64, area: FileArea) {
        self.remove(start, area.end);
        self.0.insert(start, area);
    }

    /// The area at `start`, seen from there.
    fn at(&self, start: u64) -> Option<FileArea> {
        let (s, area) = self.within(start, start + 1).next()?;
        Some(FileArea { offset: area.offset + (start - s), ..area })
    }

    fn overlaps(&self, start: u64, end: u64) -> bool {
        self.within(start, end).next().is_some()
    }

    /// Whether an address is in memory that was mapped from a file.
    pub(super) fn contains(&self, address: u64) -> bool {
        self.overlaps(address, address + 1)
    }

    /// Whether a file is mapped.
    pub(super) fn maps(&self, file: FileId) -> bool {
        self.0.values().any(|area| area.file == Some(file))
    }

    /// The memory that shows these bytes of a file.
    fn showing(&self, file: FileId, from: u64, to: u64) -> Vec<(u64, u64)> {
        let areas = self.0.iter().filter(|(_, area)| area.file == Some(file));
        areas
            .filter_map(|(&start, area)| {
                let first = from.max(area.offset) - area.offset;
                let last = to.saturating_sub(area.offset).min(area.end - start);
                (first < last).then_some((start + first, start + last))
            })
            .collect()
    }

    /// Whether a file is mapped with MAP_SHARED.
    fn shares(&self, file: FileId) -> bool {
        self.0.values().any(|area| area.file == Some(file) && area.shared)
    }

    /// Whether the server may write to a file by memory.
    fn writes(&self, file: FileId) -> bool {
        self.0.values().any(|area| area.file == Some(file) && area.written)
    }
}

/// The refused call, if it would change ftrun's own memory.
pub(super) fn touches_own_memory(call: &Call) -> Option<String> {
    let [start, len, _, fixed, new, _] = call.args;
    let hits = |start: u64, len: u64| interceptor::is_own(start, start.saturating_add(len));
    let (name, hit) = match u16::try_from(call.number).ok()? {
        nr::MMAP => {
            let flags = (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) as u64;
            ("mmap", fixed & flags != 0 && hits(start, len))
        }
        nr::MUNMAP => ("munmap", hits(start, len)),
        nr::MPROTECT => ("mprotect", hits(start, len)),
        nr::MADVISE => ("madvise", hits(start, len)),
        nr::MREMAP => {
            let moves = fixed & libc::MREMAP_FIXED as u64 != 0;
            ("mremap", hits(start, len) || moves && hits(new, call.args[2]))
        }
        _ => return None,
    };
    hit.then(|| format!("{name} of memory that is ftrun's own"))
}

/// Code that a call has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NewCode {
    /// It is mapped from a file: start and length, and whether it stays what it is.
    OfFile(u64, u64, bool),
    /// It may be the server's own, or become it.
    OfOwn,
    /// What was mapped is somewhere else now, or there is more of it: it may be code.
    Moved(u64),
}

/// Whether there is code since a call that was none before.
pub(super) fn new_code(call: &Call, result: i64) -> Option<NewCode> {
    let [_, len, protection, flags, ..] = call.args;
    let (executable, writable) = (protection & libc::PROT_EXEC as u64 != 0, protection & libc::PROT_WRITE as u64 != 0);
    match call.record_number() {
        _ if result < 0 => None,
        nr::MMAP if executable && flags & libc::MAP_ANONYMOUS as u64 == 0 => {
            // What is shared can be written where it is mapped once more.
            Some(NewCode::OfFile(abi::word(result), len, !writable && !is_shared(flags)))
        }
        nr::MMAP | nr::MPROTECT if executable => Some(NewCode::OfOwn),
        nr::MREMAP => Some(NewCode::Moved(abi::word(result))),
        _ => None,
    }
}

impl Recorder<'_> {
    /// The refused call, if it would let the server write by memory to a file that others use, or that it has mapped privately:
    /// that is no record.
    pub(super) fn writes_a_used_file(&self, call: &Call) -> Option<String> {
        let [start, len, protection, flags, fd, _] = call.args;
        let (number, writes) = (call.record_number(), protection & libc::PROT_WRITE as u64 != 0);
        let used = |file: FileId, in_maps: Option<InMaps>| {
            let by = in_maps.map(|in_maps| writers::of(self.pid, self.looks.twin(), file.device, file.inode, &in_maps));
            match by {
                Some(Ok(None)) => None,
                Some(Ok(Some(by))) => Some(by),
                Some(Err(_)) | None => Some("who uses it cannot be seen".to_owned()),
            }
        };
        let maps_file = number == nr::MMAP && flags & libc::MAP_ANONYMOUS as u64 == 0;
        if maps_file {
            let shared = is_shared(flags);
            let path = descriptor_path(self.pid, abi::int(fd));
            let Some(file) = FileId::of_path(&path) else {
                // What is no file but a device. Of a number that is no descriptor the kernel tells.
                let refused = shared && writes && path.exists();
                return refused.then(|| "mmap with MAP_SHARED and PROT_WRITE of what is no file".to_owned());
            };
            if !shared {
                let hit = self.file_areas.writes(file);
                return hit
                    .then(|| "mmap with MAP_PRIVATE of a file that is mapped with MAP_SHARED and PROT_WRITE".into());
            }
            let may = self.kernel().descriptors().get(abi::int(fd));
            if !writes
                || may.is_none_or(|open| open.flags & libc::O_ACCMODE != libc::O_RDWR)
                || self.file_areas.writes(file)
            {
                return None;
            }
            let in_maps = InMaps::of_descriptor(self.pid, abi::int(fd)).ok();
            return used(file, in_maps).map(|by| format!("mmap with MAP_SHARED and PROT_WRITE of a file: {by}"));
        }
        if number != nr::MPROTECT || !writes {
            return None;
        }
        let end = start.saturating_add(len.checked_next_multiple_of(PAGE)?);
        let new = |area: &FileArea| {
            area.shared && !area.written && !area.file.is_some_and(|file| self.file_areas.writes(file))
        };
        let mut files = self.file_areas.within(start, end).filter(|(_, area)| new(area));
        files.find_map(|(at, area)| {
            let by = used(area.file?, InMaps::at(self.pid.cast_unsigned(), at))?;
            Some(format!("mprotect with PROT_WRITE of a file mapped with MAP_SHARED: {by}"))
        })
    }

    /// The refused call, if it would let go of memory that is to hold a file's content again: the file is not mapped here.
    pub(super) fn discards_a_copy(&self, call: &Call) -> Option<String> {
        let [start, len, advice, ..] = call.args;
        let discards = call.number == u64::from(nr::MADVISE) && advice == libc::MADV_DONTNEED as u64;
        let hit = discards
            && self
                .file_areas
                .within(start, start.saturating_add(len))
                .any(|(_, area)| area.copy && area.stands_for.is_none());
        hit.then(|| "madvise(MADV_DONTNEED) of a file that was mapped before the failover".to_owned())
    }

    pub(super) fn after_memory(
        &mut self,
        stopped: &Stopped,
        flow: &mut InCall,
        result: i64,
    ) -> Result<(), RecordingError> {
        // With a hole in its area madvise(2) fails and has done its work around it, mprotect(2) up to it.
        let around = matches!(flow.shape.number, nr::MADVISE | nr::MPROTECT) && result == -i64::from(libc::ENOMEM);
        let at_locked = flow.shape.number == nr::MADVISE && result == -i64::from(libc::EINVAL);
        if (-4095..0).contains(&result) && !around && !at_locked {
            return Ok(());
        }
        let [start, len, third, flags, ..] = flow.call.args;
        match flow.shape.number {
            nr::MADVISE if result == -i64::from(libc::EINVAL) => {
                let end = len.checked_next_multiple_of(PAGE).and_then(|len| start.checked_add(len));
                let lets_go = third == libc::MADV_DONTNEED as u64 && start.is_multiple_of(PAGE);
                if let Some(end) = end.filter(|_| lets_go) {
                    // What lies before was let go: a replica, where nothing is locked, takes it from here.
                    let end = match std::fs::read_to_string(format!("/proc/{}/smaps", stopped.pid())) {
                        Ok(smaps) => first_kept(&smaps, start, end).unwrap_or(start),
                        Err(_) => end,
                    };
                    read_in_pieces(stopped, start, end, &mut |address, bytes| {
                        flow.extra.push(Segment { address, role: SegmentRole::Out, arg: 0, bytes });
                    });
                }
            }
            nr::MMAP => {
                let (start, end) = whole(abi::word(result), len);
                self.unmapped(start, end - start);
                if flags & libc::MAP_ANONYMOUS as u64 == 0 {
                    let [.., fd, offset] = flow.call.args;
                    let file = FileId::of_descriptor(stopped.pid(), abi::int(fd));
                    let shared = is_shared(flags);
                    let written = shared && third & libc::PROT_WRITE as u64 != 0;
                    let area = FileArea { file, offset, written, ..FileArea::plain(end, shared, false) };
                    self.file_areas.insert(start, area);
                    if shared && let Some(state) = state_of(&descriptor_path(stopped.pid(), abi::int(fd))) {
                        flow.extra.push(meta(SegmentRole::File, state.encode()));
                        self.file_sizes.insert(state.into(), state.size);
                    }
                    content(stopped, start, end, &mut flow.extra);
                } else {
                    self.file_areas.remove(start, end);
                }
            }
            nr::MPROTECT if third & libc::PROT_WRITE as u64 != 0 => {
                let (start, end) = whole(start, len);
                self.file_areas.written(start, end);
            }
            nr::MUNMAP => {
                let (start, end) = whole(start, len);
                self.unmapped(start, end - start);
                self.file_areas.remove(start, end);
            }
            nr::MREMAP => {
                let (old_start, old_end) = whole(start, len);
                let (start, end) = whole(abi::word(result), third);
                let area = self.file_areas.at(old_start);
                self.file_areas.remove(old_start, old_end);
                match area {
                    Some(area) => {
                        content(stopped, start, end, &mut flow.extra);
                        self.file_areas.insert(start, FileArea { end, ..area });
                    }
                    None => self.file_areas.remove(start, end),
                }
            }
            nr::MADVISE if third == libc::MADV_DONTNEED as u64 => {
                let (start, end) = whole(start, len);
                if self.file_areas.overlaps(start, end) {
                    content(stopped, start, end, &mut flow.extra);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What a call wrote into a file that is mapped shows in memory, too.
    pub(super) fn after_file_change(&mut self, stopped: &Stopped, flow: &mut InCall, result: i64) {
        if result < 0 || self.file_areas.0.values().all(|area| area.file.is_none()) {
            return;
        }
        let (pid, args) = (stopped.pid(), &flow.call.args);
        let fd = abi::int(if flow.shape.number == nr::COPY_FILE_RANGE { args[2] } else { args[0] });
        let path = match flow.shape.number {
            nr::TRUNCATE => reached(pid, flow.gathered.inputs.first().map_or(&[], |segment| segment.bytes.as_slice())),
            _ if matches!(self.kernel().object(fd), Some(Object::File(_) | Object::Inherited(_))) => {
                descriptor_path(pid, fd)
            }
            _ => return,
        };
        let Some(state) = state_of(&path) else { return };
        let done = abi::word(result);
        let appends = self.kernel().descriptors().get(fd).is_some_and(|open| open.flags & libc::O_APPEND != 0);
        let (from, to) = match flow.shape.number {
            nr::FTRUNCATE | nr::TRUNCATE => (args[1], u64::MAX),
            nr::FALLOCATE if abi::int(args[1]) & MOVING != 0 => (args[2], u64::MAX),
            nr::FALLOCATE => (args[2], args[2].saturating_add(args[3])),
            nr::PWRITE64 | nr::PWRITEV | nr::PWRITEV2 if appends => (state.size.saturating_sub(done), state.size),
            nr::PWRITEV2 if abi::int(args[5]) & libc::RWF_APPEND != 0 => (state.size.saturating_sub(done), state.size),
            nr::PWRITE64 | nr::PWRITEV => (args[3], args[3].saturating_add(done)),
            nr::PWRITEV2 if args[3] != u64::MAX => (args[3], args[3].saturating_add(done)),
            // The offset that it was given has been moved.
            nr::COPY_FILE_RANGE if args[3] != 0 => match word_at(stopped, args[3]) {
                Some(end) => (end.saturating_sub(done), end),
                None => (0, u64::MAX),
            },
            _ => match offset_of(pid, fd) {
                Some(end) => (end.saturating_sub(done), end),
                None => (0, u64::MAX),
            },
        };
        self.show_file(stopped, flow, state, from, to);
    }

    /// What open(2) with O_TRUNC took away from a file that is mapped is gone from memory, too.
    pub(super) fn after_truncating_open(&mut self, stopped: &Stopped, flow: &mut InCall, result: i64) {
        if self.file_areas.0.values().any(|area| area.file.is_some())
            && let Some(state) = state_of(&descriptor_path(stopped.pid(), abi::int_result(result)))
            && state.size == 0
        {
            self.show_file(stopped, flow, state, 0, u64::MAX);
        }
    }

    /// Puts into the record what memory shows of a part of a file that a call has changed.
    fn show_file(&mut self, stopped: &Stopped, flow: &mut InCall, state: FileState, from: u64, to: u64) {
        let file = FileId::from(state);
        let size = self.file_sizes.insert(file, state.size).unwrap_or(state.size);
        // What memory held behind the end is zeros when the file grows.
        let (from, to) =
            if state.size > size { (from.min(size), to.max(size.next_multiple_of(PAGE))) } else { (from, to) };
        if self.file_areas.0.values().any(|area| area.file == Some(file) && area.shared) {
            flow.extra.push(meta(SegmentRole::File, state.encode()));
        }
        for (start, end) in self.file_areas.showing(file, from, to) {
            read_in_pieces(stopped, start, end, &mut |address, bytes| {
                flow.extra.push(Segment { address, role: SegmentRole::Out, arg: 0, bytes });
            });
        }
    }

    fn is_code_of_file(&self, stopped: &Stopped, at: u64) -> Result<bool, RecordingError> {
        let is_code = |area: &launch::Mapping| area.start <= at && at < area.end && area.prot & libc::PROT_EXEC != 0;
        Ok(self.file_areas.contains(at) && launch::maps(stopped.pid())?.iter().any(is_code))
    }

    /// Patches what is to trap in code that there is since a call, and says so in the log.
    pub(super) fn patch(&mut self, stopped: Stopped, code: NewCode) -> Result<Stopped, RecordingError> {
        let (mut record, seen) = match code {
            NewCode::OfFile(start, len, is_fixed) => {
                let (record, seen) = instructions::patch(&stopped, start, len)?;
                (record, seen && is_fixed)
            }
            NewCode::Moved(start) if !self.is_code_of_file(&stopped, start)? => return Ok(stopped),
            NewCode::OfOwn | NewCode::Moved(_) => (Record::new(Kind::Patch, 0, 0), false),
        };
        let trap = if seen || self.counter_traps { Trap::AsBefore } else { Trap::Everywhere };
        record.number = trap as u16;
        self.counter_traps |= trap == Trap::Everywhere;
        let (stopped, held) = trap.set(stopped)?;
        self.held.extend(held);
        if !record.segments.is_empty() || trap != Trap::AsBefore {
            self.sites.add(record.segments.iter().map(|s| s.address));
            self.append(&record, "a patch")?;
        }
        Ok(stopped)
    }
}

/// The pages of an area.
fn whole(start: u64, len: u64) -> (u64, u64) {
    (start, start.saturating_add(len.next_multiple_of(PAGE)))
}

fn word_at(stopped: &Stopped, address: u64) -> Option<u64> {
    stopped.bytes(address, 8).ok()?.try_into().ok().map(u64::from_le_bytes)
}

/// Where MADV_DONTNEED finds the first memory that it does not let go, and fails: locked, of a device, of huge pages
/// (`VmFlags` in proc_pid_smaps(5)).
fn first_kept(smaps: &str, start: u64, end: u64) -> Option<u64> {
    let mut area = (0, 0);
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let kept = flags.split_ascii_whitespace().any(|flag| ["lo", "pf", "ht"].contains(&flag));
            if kept && area.0 < end && area.1 > start {
                return Some(area.0.max(start));
            }
        } else if let Some((first, rest)) = line.split(' ').next().and_then(|range| range.split_once('-'))
            && let (Ok(first), Ok(last)) = (u64::from_str_radix(first, 16), u64::from_str_radix(rest, 16))
        {
            area = (first, last);
        }
    }
    None
}

/// The offset of an open file.
fn offset_of(pid: i32, fd: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()
}

/// The content of an area that is not zero.
fn content(stopped: &Stopped, start: u64, end: u64, out: &mut Vec<Segment>) {
    read_in_pieces(stopped, start, end, &mut |address, bytes| {
        if bytes.iter().any(|&b| b != 0) {
            out.push(Segment { address, role: SegmentRole::Out, arg: 0, bytes });
        }
    });
}

/// Reads an area. Pages behind the end of a file cannot be read and are left out.
fn read_in_pieces(stopped: &Stopped, start: u64, end: u64, take: &mut dyn FnMut(u64, Vec<u8>)) {
    let mut at = start;
    while at < end {
        let next = (at - at % CHUNK + CHUNK).min(end);
        if let Ok(bytes) = stopped.bytes(at, abi::size(next - at)) {
            take(at, bytes);
            at = next;
            continue;
        }
        let page_end = (at - at % PAGE + PAGE).min(end);
        if let Ok(bytes) = stopped.bytes(at, abi::size(page_end - at)) {
            take(at, bytes);
        }
        at = page_end;
    }
}

/// What children must not change is what is mapped with MAP_SHARED: `family::mapped`.
impl Recorder<'_> {
    /// Before a call that may map a file: nobody comes in between.
    pub(super) fn keep_from_children(&mut self, call: &Call) {
        if !maps_shared_file(call.record_number(), &call.args) {
            return;
        }
        let fd = abi::int(call.args[4]);
        let path = descriptor_path(self.pid, fd);
        if let Some(file) = FileId::of_path(&path).filter(|file| !self.family.mapped().contains(*file)) {
            let in_maps = InMaps::of_descriptor(self.pid, fd).ok();
            let path = std::fs::read_link(&path).unwrap_or(path);
            self.family.mapped().insert(MappedFile { file, in_maps, path });
        }
    }

    /// What is mapped when recording begins.
    pub(super) fn keep_mapped_files_from_children(&mut self) {
        for (start, area) in self.file_areas.within(0, u64::MAX) {
            if let Some(file) = area.file.filter(|_| area.shared) {
                let in_maps = InMaps::at(self.pid.cast_unsigned(), start);
                let path = area.path.map_or_else(|| PathBuf::from("a file"), |path| path.as_path().to_owned());
                self.family.mapped().insert(MappedFile { file, in_maps, path });
            }
        }
    }

    /// What is mapped no more is theirs.
    pub(super) fn leave_other_files_to_children(&mut self) {
        self.family.mapped().retain(|file| self.file_areas.shares(file));
    }
}

impl Recorder<'_> {
    /// What was patched there is gone.
    fn unmapped(&mut self, start: u64, len: u64) {
        self.sites.unmapped(start, len);
        if let Some(inside) = &mut self.inside {
            inside.patches.unmapped(start, len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_cut_where_something_else_is_mapped() {
        let mut areas = FileAreas::default();
        let file = FileId { device: 1, inode: 2 };
        areas.insert(0x1000, FileArea { file: Some(file), offset: 0x10000, ..FileArea::plain(0x9000, false, false) });
        areas.remove(0x3000, 0x4000);
        assert!(areas.overlaps(0x2000, 0x3000) && areas.overlaps(0x4000, 0x5000));
        assert!(!areas.overlaps(0x3000, 0x4000));
        assert_eq!(areas.at(0x5000).map(|area| area.offset), Some(0x14000));
        assert_eq!(areas.showing(file, 0x11ff0, 0x13010), [(0x2ff0, 0x3000), (0x4000, 0x4010)]);
        assert!(areas.showing(FileId { device: 1, inode: 3 }, 0, u64::MAX).is_empty());
    }

    #[test]
    fn advice_ends_at_memory_that_is_locked() {
        let smaps = "1000-3000 rw-p 00000000 00:00 0 \nSize:                  8 kB\nVmFlags: rd wr mr mw me ac sd \n\
                     3000-4000 rw-p 00000000 00:00 0 [heap]\nVmFlags: rd wr mr mw me lo ac sd \n\
                     4000-9000 rw-p 00000000 00:00 0 \nVmFlags: rd wr mr mw me ac sd \n";
        assert_eq!(first_kept(smaps, 0x1000, 0x9000), Some(0x3000));
        assert_eq!(first_kept(smaps, 0x3000, 0x9000), Some(0x3000));
        // Nothing locked there: it failed for another reason, and has done nothing.
        assert_eq!(first_kept(smaps, 0x1000, 0x3000), None);
        assert_eq!(first_kept(smaps, 0x4000, 0x9000), None);
    }

    #[test]
    fn ftruns_own_memory_is_out_of_bounds() {
        for (start, end) in interceptor::OWN {
            for (first, hits) in [(start, true), (end - 4096, true), (start - 4096, false), (end, false)] {
                let call = Call { number: nr::MUNMAP.into(), args: [first, 4096, 0, 0, 0, 0] };
                assert_eq!(touches_own_memory(&call).is_some(), hits, "{first:#x}");
            }
        }
    }
}

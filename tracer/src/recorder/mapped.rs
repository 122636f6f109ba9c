//! Files that are mapped, on the recording side: who else may write them, and what calls that change them show in memory.

use std::path::PathBuf;

use common::abi::{self, PAGE};
use common::kernel::Object;
use common::record::{FileState, Segment, SegmentRole};
use common::syscall::{Memory, nr};

use super::memory::read_in_pieces;
use super::writers::{self, InMaps};
use super::{InCall, Recorder, meta};
use crate::family::MappedFile;
use crate::files::{FileArea, FileId, descriptor_path, is_shared, maps_shared_file, reached, state_of};
use crate::tracee::{Call, Stopped};

/// Modes of fallocate(2) that move what is behind.
const MOVING: i32 = libc::FALLOC_FL_COLLAPSE_RANGE | libc::FALLOC_FL_INSERT_RANGE;

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

    /// What a call wrote into a file that is mapped shows in memory, too.
    pub(super) fn after_file_change(&mut self, stopped: &Stopped, flow: &mut InCall, result: i64) {
        if result < 0 || !self.file_areas.maps_any() {
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
        if self.file_areas.maps_any()
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
        if self.file_areas.shares(file) {
            flow.extra.push(meta(SegmentRole::File, state.encode()));
        }
        for (start, end) in self.file_areas.showing(file, from, to) {
            read_in_pieces(stopped, start, end, &mut |address, bytes| {
                flow.extra.push(Segment { address, role: SegmentRole::Out, arg: 0, bytes });
            });
        }
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

fn word_at(stopped: &Stopped, address: u64) -> Option<u64> {
    stopped.bytes(address, 8).ok()?.try_into().ok().map(u64::from_le_bytes)
}

/// The offset of an open file.
fn offset_of(pid: i32, fd: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()
}

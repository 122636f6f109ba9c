//! Where files are mapped.

use std::collections::BTreeMap;

use common::abi::{self, PAGE};
use common::kernel::PathBytes;
use common::record::Record;
use common::snapshot::Area;
use common::syscall::nr;

use super::FileId;
use crate::interceptor;
use crate::launch::{self, LaunchError};

/// Whether the type of a mapping is MAP_SHARED (or MAP_SHARED_VALIDATE).
pub(crate) fn is_shared(flags: u64) -> bool {
    abi::int(flags) & libc::MAP_TYPE != libc::MAP_PRIVATE
}

/// Whether a call is mmap(2) of a file with MAP_SHARED.
#[must_use]
pub fn maps_shared_file(number: u16, args: &[u64; 6]) -> bool {
    number == nr::MMAP && args[3] & libc::MAP_ANONYMOUS as u64 == 0 && is_shared(args[3])
}

/// A mapped piece of a file.
#[derive(Debug, Clone)]
pub(crate) struct FileArea {
    /// One past its last byte.
    pub(crate) end: u64,
    /// `None`: what the program was started from, or a copy.
    pub(crate) file: Option<FileId>,
    /// Where in the file it begins.
    pub(crate) offset: u64,
    /// It was mapped with MAP_SHARED.
    pub(crate) shared: bool,
    /// In a replica: the bytes are there, the file is not mapped.
    pub(crate) copy: bool,
    /// Which file a copy is of, if it was opened by name.
    pub(crate) path: Option<PathBytes>,
    /// In a replica: the memory that stands for the file, the same for all its shared mappings.
    pub(crate) stands_for: Option<FileId>,
    /// PROT_WRITE was there at some time, and the mapping is shared.
    pub(crate) written: bool,
    /// The descriptor allowed writing.
    pub(crate) writable: bool,
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
        let Mapped { path, writable, file } = mapped;
        self.apply(record.number, &record.args, record.result, |plain| FileArea {
            copy: true,
            path,
            writable,
            stands_for: file.filter(|_| plain.shared),
            ..plain
        });
    }

    /// What a memory call that succeeded does to the areas; `describe` says what is known of the file of a new mapping.
    pub(crate) fn apply(
        &mut self,
        number: u16,
        args: &[u64; 6],
        result: i64,
        describe: impl FnOnce(FileArea) -> FileArea,
    ) {
        let [start, len, third, flags, ..] = *args;
        let writable = third & libc::PROT_WRITE as u64 != 0;
        match number {
            nr::MMAP => {
                let (start, end) = whole(abi::word(result), len);
                self.remove(start, end);
                if flags & libc::MAP_ANONYMOUS as u64 == 0 {
                    let shared = is_shared(flags);
                    let plain = FileArea::plain(end, shared, false);
                    let plain = FileArea { offset: args[5], written: shared && writable, ..plain };
                    self.insert(start, describe(plain));
                }
            }
            nr::MPROTECT if writable => {
                let (start, end) = whole(start, len);
                self.written(start, end);
            }
            nr::MUNMAP => {
                let (start, end) = whole(start, len);
                self.remove(start, end);
            }
            nr::MREMAP => {
                let (old_start, old_end) = whole(start, len);
                let (start, end) = whole(abi::word(result), third);
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

    /// What a process has mapped now.
    pub(crate) fn of(pid: i32) -> Result<Self, LaunchError> {
        let files =
            launch::maps(pid)?.into_iter().filter(|m| m.name.starts_with('/') && !interceptor::is_own(m.start, m.end));
        let area = |m: launch::Mapping| (m.start, FileArea::plain(m.end, m.shared, false));
        Ok(Self(files.map(area).collect()))
    }

    /// The areas that reach into a range, with their first addresses.
    pub(crate) fn within(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, FileArea)> + '_ {
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

    /// Whether anything in a range was mapped from a file.
    pub(crate) fn overlaps(&self, start: u64, end: u64) -> bool {
        self.within(start, end).next().is_some()
    }

    /// Whether an address is in memory that was mapped from a file.
    pub(crate) fn contains(&self, address: u64) -> bool {
        self.overlaps(address, address + 1)
    }

    /// Whether any file is mapped that is known.
    pub(crate) fn maps_any(&self) -> bool {
        self.0.values().any(|area| area.file.is_some())
    }

    /// Whether a file is mapped.
    pub(crate) fn maps(&self, file: FileId) -> bool {
        self.0.values().any(|area| area.file == Some(file))
    }

    /// The memory that shows these bytes of a file.
    pub(crate) fn showing(&self, file: FileId, from: u64, to: u64) -> Vec<(u64, u64)> {
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
    pub(crate) fn shares(&self, file: FileId) -> bool {
        self.0.values().any(|area| area.file == Some(file) && area.shared)
    }

    /// Whether the server may write to a file by memory.
    pub(crate) fn writes(&self, file: FileId) -> bool {
        self.0.values().any(|area| area.file == Some(file) && area.written)
    }
}

/// The pages of an area.
pub(crate) fn whole(start: u64, len: u64) -> (u64, u64) {
    (start, start.saturating_add(len.next_multiple_of(PAGE)))
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
}

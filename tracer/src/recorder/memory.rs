//! Memory calls on the recording side: what a mapping of a file brought in goes into the log.

use std::collections::BTreeMap;

use common::record::{Record, Segment, SegmentRole};
use common::snapshot::Area;
use common::syscall::{Memory, nr};

use super::{InCall, Recorder, RecordingError};
use crate::inject;
use crate::instructions;
use crate::launch::{self, LaunchError};
use crate::tracee::{Call, Stopped};

const PAGE: u64 = 4096;
const CHUNK: u64 = 64 << 10;

/// Where files are mapped: after MADV_DONTNEED such memory holds the file again, not zeros.
#[derive(Debug, Default, Clone)]
pub struct FileAreas(BTreeMap<u64, u64>);

impl FileAreas {
    /// Those of a snapshot.
    #[must_use]
    pub fn in_snapshot(areas: &[Area]) -> Self {
        Self(areas.iter().filter(|area| area.name.starts_with('/')).map(|area| (area.start, area.end)).collect())
    }

    /// Follows a memory call of the log that succeeded.
    pub fn follow(&mut self, record: &Record) {
        let whole = |start: u64, len: u64| (start, start.saturating_add(len.next_multiple_of(PAGE)));
        let [start, len, third, flags] = [record.arg(0), record.arg(1), record.arg(2), record.arg(3)];
        match record.number {
            nr::MMAP => {
                let (start, end) = whole(record.result as u64, len);
                if flags & libc::MAP_ANONYMOUS as u64 == 0 {
                    self.insert(start, end);
                } else {
                    self.remove(start, end);
                }
            }
            nr::MUNMAP => {
                let (start, end) = whole(start, len);
                self.remove(start, end);
            }
            nr::MREMAP => {
                let (old_start, old_end) = whole(start, len);
                let (start, end) = whole(record.result as u64, third);
                let moved = self.overlaps(old_start, old_end);
                self.remove(old_start, old_end);
                if moved {
                    self.insert(start, end);
                } else {
                    self.remove(start, end);
                }
            }
            _ => {}
        }
    }

    pub(super) fn of(pid: i32) -> Result<Self, LaunchError> {
        let files = launch::maps(pid)?.into_iter().filter(|m| m.name.starts_with('/'));
        Ok(Self(files.map(|m| (m.start, m.end)).collect()))
    }

    fn remove(&mut self, start: u64, end: u64) {
        let hit: Vec<(u64, u64)> = self.0.range(..end).filter(|(_, e)| **e > start).map(|(&s, &e)| (s, e)).collect();
        for (s, e) in hit {
            self.0.remove(&s);
            if s < start {
                self.0.insert(s, start);
            }
            if e > end {
                self.0.insert(end, e);
            }
        }
    }

    fn insert(&mut self, start: u64, end: u64) {
        self.remove(start, end);
        self.0.insert(start, end);
    }

    fn overlaps(&self, start: u64, end: u64) -> bool {
        self.0.range(..end).any(|(_, e)| *e > start)
    }
}

/// The refused call, if it would change ftrun's own page.
pub(super) fn touches_own_page(call: &Call) -> Option<String> {
    let [start, len, _, fixed, new, _] = call.args;
    let hits = |start: u64, len: u64| start < inject::PAGE_END && start.saturating_add(len) > inject::PAGE;
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
    hit.then(|| format!("{name} of the area {:#x}-{:#x}, which is ftrun's own", inject::PAGE, inject::PAGE_END))
}

/// Start and length of code that a call has just mapped from a file.
pub(super) fn maps_code(call: &Call, result: i64) -> Option<(u64, u64)> {
    let [_, len, protection, flags, ..] = call.args;
    let code = call.number == u64::from(nr::MMAP)
        && protection & libc::PROT_EXEC as u64 != 0
        && flags & libc::MAP_ANONYMOUS as u64 == 0
        && result > 0;
    code.then_some((result as u64, len))
}

impl Recorder<'_> {
    /// The refused call, if it would let go of memory that is to hold a file's content again: the file is not mapped here.
    pub(super) fn discards_a_copy(&self, call: &Call) -> Option<String> {
        let [start, len, advice, ..] = call.args;
        let discards = call.number == u64::from(nr::MADVISE) && advice == libc::MADV_DONTNEED as u64;
        let hit = discards && self.copied_areas.overlaps(start, start.saturating_add(len));
        hit.then(|| "madvise(MADV_DONTNEED) of a file that was mapped before the failover".to_owned())
    }

    pub(super) fn after_memory(
        &mut self,
        stopped: &Stopped,
        flow: &mut InCall,
        result: i64,
    ) -> Result<(), RecordingError> {
        if (-4095..0).contains(&result) {
            return Ok(());
        }
        let [start, len, third, flags, ..] = flow.call.args;
        let whole = |start: u64, len: u64| (start, start + len.next_multiple_of(PAGE));
        match flow.shape.number {
            nr::MMAP => {
                let (start, end) = whole(result as u64, len);
                self.sites.unmapped(start, end - start);
                self.copied_areas.remove(start, end);
                if flags & libc::MAP_ANONYMOUS as u64 == 0 {
                    self.file_areas.insert(start, end);
                    content(stopped, start, end, &mut flow.extra);
                } else {
                    self.file_areas.remove(start, end);
                }
            }
            nr::MUNMAP => {
                let (start, end) = whole(start, len);
                self.sites.unmapped(start, end - start);
                self.copied_areas.remove(start, end);
                self.file_areas.remove(start, end);
            }
            nr::MREMAP => {
                let (old_start, old_end) = whole(start, len);
                let (start, end) = whole(result as u64, third);
                let copied = self.copied_areas.overlaps(old_start, old_end);
                self.copied_areas.remove(old_start, old_end);
                self.copied_areas.remove(start, end);
                if copied {
                    self.copied_areas.insert(start, end);
                }
                if self.file_areas.overlaps(old_start, old_end) {
                    content(stopped, start, end, &mut flow.extra);
                    self.file_areas.remove(old_start, old_end);
                    self.file_areas.insert(start, end);
                } else {
                    self.file_areas.remove(start, end);
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

    /// Patches the cpuid instructions of code that was just mapped, and says so in the log.
    pub(super) fn patch(&mut self, stopped: &Stopped, start: u64, len: u64) -> Result<(), RecordingError> {
        let record = instructions::patch(stopped, start, len)?;
        if !record.segments.is_empty() {
            self.sites.add(record.segments.iter().map(|s| s.address));
            self.append(&record, "a patch")?;
        }
        Ok(())
    }
}

/// The content of an area that is not zero. Pages behind the end of a file cannot be read and are left out.
fn content(stopped: &Stopped, start: u64, end: u64, out: &mut Vec<Segment>) {
    let mut push = |address: u64, bytes: Vec<u8>| {
        if bytes.iter().any(|&b| b != 0) {
            out.push(Segment { address, role: SegmentRole::Out, arg: 0, bytes });
        }
    };
    for at in (start..end).step_by(CHUNK as usize) {
        let len = CHUNK.min(end - at);
        if let Ok(bytes) = stopped.bytes(at, len as usize) {
            push(at, bytes);
            continue;
        }
        for page in (at..at + len).step_by(PAGE as usize) {
            if let Ok(bytes) = stopped.bytes(page, PAGE as usize) {
                push(page, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_cut_where_something_else_is_mapped() {
        let mut areas = FileAreas::default();
        areas.insert(0x1000, 0x9000);
        areas.remove(0x3000, 0x4000);
        assert!(areas.overlaps(0x2000, 0x3000) && areas.overlaps(0x4000, 0x5000));
        assert!(!areas.overlaps(0x3000, 0x4000));
    }

    #[test]
    fn the_own_page_is_out_of_bounds() {
        let call = Call { number: nr::MUNMAP.into(), args: [inject::PAGE, 4096, 0, 0, 0, 0] };
        assert!(touches_own_page(&call).is_some());
        let call = Call { number: nr::MUNMAP.into(), args: [inject::PAGE_END, 4096, 0, 0, 0, 0] };
        assert!(touches_own_page(&call).is_none());
    }
}

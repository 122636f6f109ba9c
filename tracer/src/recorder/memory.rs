//! Memory calls on the recording side: what a mapping of a file brought in goes into the log.

use common::abi::{self, PAGE};
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::{Memory, nr};

use super::{InCall, Recorder, RecordingError, meta};
use crate::files::{FileArea, FileId, descriptor_path, is_shared, state_of, whole};
use crate::instructions::{self, Trap};
use crate::interceptor;
use crate::launch;
use crate::tracee::{Call, Stopped};

const CHUNK: u64 = 64 << 10;

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
        let (number, args) = (flow.shape.number, flow.call.args);
        let [start, len, third, flags, fd, _] = args;
        let maps_file = number == nr::MMAP && flags & libc::MAP_ANONYMOUS as u64 == 0;
        let file = maps_file.then(|| FileId::of_descriptor(stopped.pid(), abi::int(fd))).flatten();
        self.file_areas.apply(number, &args, result, |plain| FileArea { file, ..plain });
        match number {
            nr::MADVISE if at_locked => {
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
                if is_shared(flags)
                    && maps_file
                    && let Some(state) = state_of(&descriptor_path(stopped.pid(), abi::int(fd)))
                {
                    flow.extra.push(meta(SegmentRole::File, state.encode()));
                    self.file_sizes.insert(state.into(), state.size);
                }
                if maps_file {
                    content(stopped, start, end, &mut flow.extra);
                }
            }
            nr::MUNMAP => {
                let (start, end) = whole(start, len);
                self.unmapped(start, end - start);
            }
            nr::MREMAP => {
                let (start, end) = whole(abi::word(result), third);
                if self.file_areas.contains(start) {
                    content(stopped, start, end, &mut flow.extra);
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

/// The content of an area that is not zero.
fn content(stopped: &Stopped, start: u64, end: u64, out: &mut Vec<Segment>) {
    read_in_pieces(stopped, start, end, &mut |address, bytes| {
        if bytes.iter().any(|&b| b != 0) {
            out.push(Segment { address, role: SegmentRole::Out, arg: 0, bytes });
        }
    });
}

/// Reads an area. Pages behind the end of a file cannot be read and are left out.
pub(super) fn read_in_pieces(stopped: &Stopped, start: u64, end: u64, take: &mut dyn FnMut(u64, Vec<u8>)) {
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

//! The state of a stopped process as a position.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use common::abi;
use common::digest::Digest;
use common::memory::{PAGE, is_zero};
use common::position::{FLAGS, MAX_PAGES, Position, REGISTERS, RIP};
use common::regions::{self, Regions};
use common::syscall::Memory;

use super::PlaceError;
use crate::interceptor;
use crate::launch::{self, Mapping};
use crate::tracee::{Registers, Stopped};

/// Flags that belong to whoever debugs: trap, resume.
const OF_DEBUGGERS: u64 = 1 << 8 | 1 << 16;

/// The registers as a position has them.
#[must_use]
pub fn general(regs: &Registers) -> [u64; REGISTERS] {
    let mut all = [
        regs.rax,
        regs.rbx,
        regs.rcx,
        regs.rdx,
        regs.rsi,
        regs.rdi,
        regs.rbp,
        regs.rsp,
        regs.r8,
        regs.r9,
        regs.r10,
        regs.r11,
        regs.r12,
        regs.r13,
        regs.r14,
        regs.r15,
        regs.rip,
        regs.eflags,
        regs.fs_base,
        regs.gs_base,
    ];
    all[FLAGS] &= !OF_DEBUGGERS;
    all
}

/// The same without a trace of breakpoints and single steps, which would go into a signal's frame.
#[must_use]
pub fn undebugged(regs: &Registers) -> Registers {
    let mut regs = *regs;
    regs.eflags &= !OF_DEBUGGERS;
    regs
}

/// A digest of the extended state in the XSAVE layout, as the kernel gives it: with the initial values of components that are not
/// in use. Left out is what says nothing of the program: which components are in use, and the x87 unit's last instruction,
/// of which some processors save the place only after an exception.
fn extended_digest(state: &[u8]) -> u64 {
    const LAST_X87: std::ops::Range<usize> = 6..24;
    const SOFTWARE_AND_HEADER: std::ops::Range<usize> = 464..576;
    let mut digest = Digest::new();
    let mut put = |range: std::ops::Range<usize>| {
        digest.bytes(state.get(range.start..range.end.min(state.len())).unwrap_or_default());
    };
    put(0..LAST_X87.start);
    put(LAST_X87.end..SOFTWARE_AND_HEADER.start);
    put(SOFTWARE_AND_HEADER.end..state.len().max(SOFTWARE_AND_HEADER.end));
    digest.finish()
}

/// Which pages have never been touched: they read as zeros.
struct Touched {
    pagemap: File,
}

impl Touched {
    fn of(pid: i32) -> Result<Self, PlaceError> {
        let pagemap = File::open(format!("/proc/{pid}/pagemap")).map_err(|error| PlaceError::Pages { pid, error })?;
        Ok(Self { pagemap })
    }

    /// For each page of a run.
    fn within(&self, pid: i32, start: u64, pages: usize) -> Result<Vec<bool>, PlaceError> {
        // Bits 63 and 62: present, swapped (Documentation/admin-guide/mm/pagemap.rst).
        const THERE: u64 = 1 << 63 | 1 << 62;
        let mut raw = vec![0; 8 * pages];
        let at = start / PAGE as u64 * 8;
        self.pagemap.read_exact_at(&mut raw, at).map_err(|error| PlaceError::Pages { pid, error })?;
        Ok(raw.chunks_exact(8).map(|entry| entry.try_into().map_or(0, u64::from_le_bytes) & THERE != 0).collect())
    }
}

/// Whether pages of it that were never touched are zeros.
fn is_anonymous(area: &Mapping) -> bool {
    !area.shared && (area.name.is_empty() || area.name.starts_with('['))
}

/// Digests of all memory that the server can write, and not ftrun's own, or of one set of regions. Pages of zeros do not count: whether
/// one was ever touched is nothing that the server could see.
fn memory_digests(stopped: &Stopped, only: Option<usize>) -> Result<Regions, PlaceError> {
    let mut digests = Regions::default();
    let writable = |area: &Mapping| area.prot & libc::PROT_WRITE != 0;
    each_page(stopped.pid(), stopped, only, writable, |address, page| {
        if !is_zero(page) {
            digests.add(address, page);
        }
    })?;
    Ok(digests)
}

/// Calls `take` with each page of the areas of a process, whose `memory` this is, that are `wanted` and not ftrun's own, or of one set of regions of these, ascending. Left out are pages that read as zeros because
/// they were never touched, and those that cannot be read.
pub(crate) fn each_page(
    pid: i32,
    memory: &impl Memory,
    only: Option<usize>,
    wanted: impl Fn(&Mapping) -> bool,
    mut take: impl FnMut(u64, &[u8; PAGE]),
) -> Result<(), PlaceError> {
    let touched = Touched::of(pid)?;
    let mut buffer = vec![0; abi::size(regions::rest_of_region(0))];
    for area in launch::maps(pid)? {
        if !wanted(&area) || interceptor::is_own(area.start, area.end) {
            continue;
        }
        let mut next = area.start;
        while next < area.end {
            let start = next;
            next = area.end.min(start + regions::rest_of_region(start));
            if only.is_some_and(|set| set != regions::set_of(start)) {
                continue;
            }
            let len = abi::size(next - start);
            let there =
                if is_anonymous(&area) { touched.within(pid, start, len / PAGE)? } else { vec![true; len / PAGE] };
            let mut at = 0;
            // Nothing but what was touched is read: the server could see (mincore(2)) that something else was.
            for run in there.chunk_by(|one, other| one == other) {
                let first = start + (at * PAGE) as u64;
                at += run.len();
                if !run[0] {
                    continue;
                }
                let buffer = &mut buffer[..run.len() * PAGE];
                // Behind the end of a mapped file nothing can be read.
                let whole = memory.read(first, buffer).is_ok();
                let (pages, _) = buffer.as_chunks_mut::<PAGE>();
                for (page, address) in pages.iter_mut().zip((first..).step_by(PAGE)) {
                    if whole || memory.read(address, page).is_ok() {
                        take(address, page);
                    }
                }
            }
        }
    }
    Ok(())
}

/// The position of a process that stands at `regs`; `words` are the addresses of the words that it is to hold.
///
/// # Errors
/// When the process is gone.
pub fn position(stopped: &Stopped, regs: &Registers, words: &[u64]) -> Result<Position, PlaceError> {
    let content = |&address: &u64| {
        let mut word = [0; 8];
        stopped.read(address, &mut word).ok().map(|()| (address, u64::from_le_bytes(word)))
    };
    let pages: BTreeSet<u64> = words.iter().map(|word| word & !(PAGE as u64 - 1)).collect();
    let page = |&address: &u64| Some((address, stopped.bytes(address, PAGE).ok()?));
    Ok(Position {
        registers: general(regs),
        extended: extended_digest(&stopped.xstate()?),
        memory: memory_digests(stopped, None)?,
        words: words.iter().filter_map(content).collect(),
        pages: pages.iter().take(MAX_PAGES).filter_map(page).collect(),
        ticks: None,
    })
}

/// How far a process agrees with a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// It is there.
    Whole,
    /// The registers or the words differ.
    Other,
    /// Those agree, and this word differs: its address, and what it is at the position.
    Word(u64, u64),
    /// All that the position holds agrees, and something else differs: the extended state, or this set of regions.
    Near(Option<usize>),
}

/// Compares a process that stands at `regs` with a position: what is cheap first, and of the memory this set of regions.
///
/// # Errors
/// When the process is gone.
pub fn compare(
    stopped: &Stopped,
    regs: &Registers,
    position: &Position,
    first: Option<usize>,
) -> Result<Agreement, PlaceError> {
    if regs.rip != position.registers[RIP] || general(regs) != position.registers {
        return Ok(Agreement::Other);
    }
    for (address, content) in &position.words {
        let mut word = [0; 8];
        if stopped.read(*address, &mut word).is_err() || u64::from_le_bytes(word) != *content {
            return Ok(Agreement::Other);
        }
    }
    for (address, content) in &position.pages {
        let Ok(found) = stopped.bytes(*address, PAGE) else { return Ok(Agreement::Near(None)) };
        let mut words = content.chunks_exact(8).zip(found.chunks_exact(8)).zip((*address..).step_by(8));
        if let Some(((expected, _), at)) = words.find(|((expected, found), _)| expected != found) {
            return Ok(Agreement::Word(at, expected.try_into().map_or(0, u64::from_le_bytes)));
        }
    }
    if let Some(set) = first
        && memory_digests(stopped, first)?.of(set) != position.memory.of(set)
    {
        return Ok(Agreement::Near(first));
    }
    if extended_digest(&stopped.xstate()?) != position.extended {
        return Ok(Agreement::Near(None));
    }
    let set = memory_digests(stopped, None)?.differs(&position.memory);
    Ok(if set.is_some() { Agreement::Near(set) } else { Agreement::Whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_of_the_program_is_left_out() {
        let state: Vec<u8> = (0..1088u32).map(|at| (at % 251) as u8).collect();
        let digest = extended_digest(&state);
        for at in 0..state.len() {
            let mut other = state.clone();
            other[at] ^= 1;
            let counts = !(6..24).contains(&at) && !(464..576).contains(&at);
            assert_eq!(extended_digest(&other) != digest, counts, "byte {at}");
        }
        // A layout that ends early, and none.
        assert_ne!(extended_digest(&state[..576]), digest);
        let _ = extended_digest(&[]);
    }
}

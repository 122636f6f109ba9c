//! Memory that the server has locked (mlock(2), mlockall(2)).
//!
//! A replica locks nothing while it replays. What is locked follows the areas: what is unmapped, or mapped over, is locked no
//! more; what is mapped while MCL_FUTURE is in force is locked. Addresses that are not mapped may count as locked: only what
//! is mapped of them matters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::Call;
use crate::abi::PAGE;

/// One past the highest address of a process.
const END: u64 = 0x7fff_ffff_f000;

/// What is locked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryLocks {
    /// First address to one past the last, and whether it is locked only as it is touched (MCL_ONFAULT).
    ranges: BTreeMap<u64, (u64, bool)>,
    /// MCL_FUTURE, with MCL_ONFAULT: what is mapped is locked. 0 otherwise.
    future: i32,
    /// Where the heap ends (brk(2)); 0 until the server has asked.
    heap_end: u64,
}

impl MemoryLocks {
    /// First addresses, one past the last ones, and whether pages are locked only as they are touched.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64, bool)> + '_ {
        self.ranges.iter().map(|(&start, &(end, on_fault))| (start, end, on_fault))
    }

    /// What mlockall(2) was given for what is mapped from now on: MCL_FUTURE and MCL_ONFAULT, or 0.
    #[must_use]
    pub fn future(&self) -> i32 {
        self.future
    }

    fn is_nothing(&self) -> bool {
        self.ranges.is_empty() && self.future == 0
    }

    fn unlock(&mut self, start: u64, end: u64) {
        let hit = self.ranges.range(..end).rev().take_while(|(_, (last, _))| *last > start);
        let before: Vec<(u64, (u64, bool))> = hit.map(|(&at, &range)| (at, range)).collect();
        for (at, (last, on_fault)) in before {
            self.ranges.remove(&at);
            if at < start {
                self.ranges.insert(at, (start, on_fault));
            }
            if last > end {
                self.ranges.insert(end, (last, on_fault));
            }
        }
    }

    fn lock(&mut self, start: u64, end: u64, on_fault: bool) {
        self.unlock(start, end);
        if start < end {
            self.ranges.insert(start, (end, on_fault));
        }
    }

    /// Whether an address is locked, and how.
    fn at(&self, address: u64) -> Option<bool> {
        let (_, &(end, on_fault)) = self.ranges.range(..=address).next_back()?;
        (end > address).then_some(on_fault)
    }

    /// Something new is mapped there.
    fn mapped(&mut self, start: u64, end: u64, locked: bool) {
        self.unlock(start, end);
        if locked || self.future != 0 {
            self.lock(start, end, self.future & libc::MCL_ONFAULT != 0);
        }
    }

    /// What brk(2) says: the heap has grown or shrunk.
    fn heap(&mut self, end: u64) {
        let (old, new) = (pages(0, self.heap_end).1, pages(0, end).1);
        if self.heap_end != 0 && old < new {
            self.mapped(old, new, false);
        } else if self.heap_end != 0 {
            self.unlock(new, old);
        }
        self.heap_end = end;
    }

    /// execve(2): the memory is another.
    pub(super) fn exec(&mut self) {
        *self = Self::default();
    }

    /// The first rule that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut last = 0;
        for (start, end, _) in self.ranges() {
            if start >= end || start < last {
                return Err(format!("locked memory is from {start:#x} to {end:#x}, behind {last:#x}"));
            }
            last = end;
        }
        match self.future {
            0 => Ok(()),
            flags if flags & !libc::MCL_ONFAULT == libc::MCL_FUTURE => Ok(()),
            flags => Err(format!("memory is locked by {flags:#x}")),
        }
    }
}

/// The pages of an area.
fn pages(start: u64, len: u64) -> (u64, u64) {
    let end = start.saturating_add(len).min(END);
    (start.min(END) / PAGE * PAGE, end.next_multiple_of(PAGE))
}

impl Kernel {
    /// Calls on memory, as far as they change what is locked.
    pub(super) fn locks_memory(&mut self, call: &Call<'_>) {
        let locks = &mut self.memory_locks;
        match call.number() {
            libc::SYS_mlock => {
                let (start, end) = pages(call.arg(0), call.arg(1));
                locks.lock(start, end, false);
            }
            libc::SYS_munlock => {
                let (start, end) = pages(call.arg(0), call.arg(1));
                locks.unlock(start, end);
            }
            libc::SYS_munlockall => {
                locks.ranges.clear();
                locks.future = 0;
            }
            libc::SYS_brk => locks.heap(call.result().cast_unsigned()),
            libc::SYS_mlockall => {
                let flags = call.int(0);
                let future = flags & libc::MCL_FUTURE != 0;
                locks.future = if future { flags & (libc::MCL_FUTURE | libc::MCL_ONFAULT) } else { 0 };
                if flags & libc::MCL_CURRENT != 0 {
                    locks.lock(0, END, flags & libc::MCL_ONFAULT != 0);
                }
            }
            libc::SYS_mmap => {
                let locked = call.int(3) & libc::MAP_LOCKED != 0;
                if locked || !locks.is_nothing() {
                    let (start, end) = pages(call.result().cast_unsigned(), call.arg(1));
                    locks.mapped(start, end, locked);
                }
            }
            _ if locks.is_nothing() => {}
            libc::SYS_munmap => {
                let (start, end) = pages(call.arg(0), call.arg(1));
                locks.unlock(start, end);
            }
            libc::SYS_mremap => {
                let (old, old_end) = pages(call.arg(0), call.arg(1));
                let (start, end) = pages(call.result().cast_unsigned(), call.arg(2));
                let locked = locks.at(old);
                locks.unlock(old, old_end);
                locks.unlock(start, end);
                if let Some(on_fault) = locked {
                    locks.lock(start, end, on_fault);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(locks: &MemoryLocks) -> Vec<(u64, u64, bool)> {
        locks.ranges().collect()
    }

    #[test]
    fn what_is_unlocked_is_cut_out() {
        let mut locks = MemoryLocks::default();
        locks.lock(0x1000, 0x9000, false);
        locks.unlock(0x3000, 0x4000);
        locks.lock(0x8000, 0xa000, true);
        assert_eq!(locked(&locks), [(0x1000, 0x3000, false), (0x4000, 0x8000, false), (0x8000, 0xa000, true)]);
        assert_eq!((locks.at(0x2fff), locks.at(0x3000), locks.at(0x9000)), (Some(false), None, Some(true)));
        locks.check().unwrap();
        locks.mapped(0x1000, 0x5000, false);
        assert_eq!(locked(&locks), [(0x5000, 0x8000, false), (0x8000, 0xa000, true)]);
        locks.future = libc::MCL_FUTURE;
        locks.mapped(0x20000, 0x21000, false);
        assert_eq!(locks.at(0x20000), Some(false));
        for (end, is_locked) in [(0x30_0800, None), (0x30_2000, Some(false)), (0x30_0800, None)] {
            locks.heap(end);
            assert_eq!(locks.at(0x30_1000), is_locked, "{end:#x}");
        }
    }
}

//! Sites whose `syscall`, rdtsc or rdtscp goes to the interceptor: which can be patched, and with what.

use std::collections::{BTreeMap, BTreeSet};

use common::abi;
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::Memory;
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register};

use super::code::{FRAME_RCX, TSC_ENTRY, places};
use super::layout::{HIGH, LOW, MIDDLE, STUB_LEN, TRAMPOLINE_LEN, TRAMPOLINES_LEN};
use crate::instructions::Sites;

const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// `cmp $-4095,%rax` and `cmp $-4096,%rax`: libc looks whether the call has failed.
const COMPARISONS: [[u8; 6]; 2] = [[0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff], [0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff]];
/// `mov $imm32,%eax`.
const MOV_EAX: u8 = 0xb8;
const MOV_LEN: u64 = 5;
const JMP_LEN: u64 = 5;
const JMP: u8 = 0xe9;
const INT3: u8 = 0xcc;
const SYSCALL_LEN: u64 = SYSCALL.len() as u64;
/// How often an rdtsc or rdtscp traps before it is patched.
const HOT: u32 = 64;
/// Bytes of instructions behind an rdtsc or rdtscp for which a trampoline has room.
const LONGEST_MOVED: u64 = 18;
/// Bytes on either side of a `syscall` within which a short jump into what is replaced can stand: 129 back from the `mov` before it,
/// 126 on from the comparison behind it, and its own two.
pub(crate) const SHORT: u64 = 136;

/// One patched site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Patch {
    /// One past the last replaced byte.
    end: u64,
    /// Where the replaced instructions behind the first one went, if there are such.
    moved: Option<u64>,
    /// The length of a `syscall`, an rdtsc or an rdtscp.
    len: u64,
    /// It is no call.
    is_counter: bool,
}

/// A site that can be patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    /// `syscall` and the comparison behind it.
    Compared { at: u64, comparison: [u8; 6] },
    /// The `mov` of the call's number, right before the `syscall`.
    Numbered { at: u64, number: u32 },
}

impl Site {
    /// First and one past the last replaced byte.
    fn range(&self) -> (u64, u64) {
        match *self {
            Self::Compared { at, .. } => (at, at + 8),
            Self::Numbered { at, .. } => (at, at + MOV_LEN),
        }
    }

    /// Where the program goes on.
    fn back(&self) -> u64 {
        let (_, end) = self.range();
        if matches!(self, Self::Compared { .. }) { end } else { end + 2 }
    }
}

/// All patches of a process, and the trampolines in use.
#[derive(Debug, Default, Clone)]
pub struct Patches {
    patches: BTreeMap<u64, Patch>,
    /// Trampolines handed out at each place.
    used: BTreeMap<u64, u64>,
    /// Instructions behind a `syscall` that stays as it is.
    left: BTreeSet<u64>,
    /// Targets of all jumps with 32 bits in an area, by its start.
    targets: BTreeMap<u64, (u64, Vec<u64>)>,
    /// How often an instruction has trapped.
    traps: BTreeMap<u64, u32>,
    /// One of the patches is, or was, of an rdtsc or rdtscp.
    has_counters: bool,
}

impl Patches {
    /// What a Patch record says of a site of the interceptor: arguments site, trampoline, one past the replaced bytes, where the
    /// instructions behind the first one went (0 for none), the first one's length if it is no call.
    pub fn learn(&mut self, record: &Record) {
        let [site, trampoline, end, moved] = [record.arg(0), record.arg(1), record.arg(2), record.arg(3)];
        if site == 0 {
            return;
        }
        let counter = record.logged_arg(4);
        let patch = Patch {
            end,
            moved: (moved != 0).then_some(moved),
            len: counter.unwrap_or(SYSCALL_LEN),
            is_counter: counter.is_some(),
        };
        self.has_counters |= patch.is_counter;
        self.patches.insert(site, patch);
        for area in [LOW, MIDDLE, HIGH] {
            if (area..area + TRAMPOLINES_LEN).contains(&trampoline) {
                let used = (trampoline - area) / TRAMPOLINE_LEN + 1;
                let known = self.used.entry(area).or_default();
                *known = used.max(*known);
            }
        }
    }

    /// An area is mapped anew, or not at all any more: what was patched there is gone.
    pub fn unmapped(&mut self, start: u64, len: u64) {
        let end = start.saturating_add(len);
        self.patches.retain(|&site, patch| patch.end <= start || site >= end);
        self.left.retain(|site| !(start..end).contains(site));
        self.targets.retain(|&area, (area_end, _)| *area_end <= start || area >= end);
    }

    /// Whether something is patched there.
    #[must_use]
    pub fn any_within(&self, start: u64, len: u64) -> bool {
        let end = start.saturating_add(len);
        self.patches.iter().any(|(&site, patch)| patch.end > start && site < end)
    }

    /// Where an instruction at `rip` is now, if it was replaced: it can be the one behind a `syscall`, from before the patch.
    #[must_use]
    pub fn moved(&self, rip: u64) -> Option<u64> {
        let (&site, patch) = self.patches.range(..rip).next_back()?;
        let offset = rip - site;
        let moved = patch.moved.filter(|_| rip < patch.end)?;
        // Of a call there is one instruction behind it.
        let is_there = if patch.is_counter { offset >= patch.len } else { offset == patch.len };
        is_there.then(|| moved.wrapping_add(offset).wrapping_sub(patch.len))
    }

    /// Whether an rdtsc or rdtscp has been patched.
    #[must_use]
    pub fn has_counters(&self) -> bool {
        self.has_counters
    }

    /// Whether an rdtsc or rdtscp at `site` is patched.
    #[must_use]
    pub fn is_counter(&self, site: u64) -> bool {
        self.patches.get(&site).is_some_and(|patch| patch.is_counter)
    }

    /// Whether `rip` is in a trampoline of an rdtsc or rdtscp, on the way back to the server's own code.
    #[must_use]
    pub fn is_behind_counter(&self, rip: u64) -> bool {
        super::is_own(rip, rip + 1)
            && self.patches.iter().any(|(&site, patch)| {
                let Some(moved) = patch.moved.filter(|_| patch.is_counter) else { return false };
                (moved..moved + (patch.end - site - patch.len) + JMP_LEN).contains(&rip)
            })
    }

    /// An instruction of `len` bytes at `site` has trapped: whether it has done so often enough to be patched, which has not been tried yet.
    pub fn trapped(&mut self, site: u64, len: u64) -> bool {
        if self.is_settled(site + len) {
            return false;
        }
        let traps = self.traps.entry(site).or_default();
        *traps = traps.saturating_add(1);
        *traps >= HOT
    }

    /// How many sites are patched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patches.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patches.is_empty()
    }

    /// Whether it is known already that the `syscall` before `rip` stays as it is, or has been patched.
    #[must_use]
    pub fn is_settled(&self, rip: u64) -> bool {
        self.left.contains(&rip) || super::is_own(rip, rip + 1)
    }

    /// The `syscall` before `rip` stays as it is.
    pub fn leave(&mut self, rip: u64) {
        self.left.insert(rip);
    }

    /// The record that patches the `syscall` before `rip`, through which call `number` was just made, in the code at `start` to `end`. `None`, and
    /// the site is left alone from now on, when it cannot be patched.
    pub fn plan(&mut self, memory: &dyn Memory, (start, end): (u64, u64), rip: u64, number: u64) -> Option<Record> {
        let record = self.try_plan(memory, (start, end), rip, number);
        if record.is_none() {
            self.leave(rip);
        }
        record
    }

    fn try_plan(&mut self, memory: &dyn Memory, (start, end): (u64, u64), rip: u64, number: u64) -> Option<Record> {
        let at = rip.checked_sub(2)?;
        let from = start.max(at.saturating_sub(SHORT));
        let to = end.min(at + SHORT);
        let near = memory.bytes(from, abi::size(to - from)).ok()?;
        let mut free = None;
        for site in recognise(&near, abi::size(at - from), at, number) {
            let (first, last) = site.range();
            if !jumps_into(&near, from, first, last) && !self.is_target(memory, (start, end), first, last)? {
                free = Some(site);
                break;
            }
        }
        let site = free?;
        let (first, last) = site.range();
        let trampoline = self.place(first)?;
        let (code, continued) = trampoline_code(&site, trampoline)?;
        let mut jump = vec![JMP];
        jump.extend(relative(first + JMP_LEN, trampoline)?);
        jump.resize(abi::size(last - first), INT3);
        let moved = matches!(site, Site::Compared { .. }).then_some(continued);
        let mut record =
            Record::new(Kind::Patch, 0, 0).with_args(&[first, trampoline, last, moved.unwrap_or_default()]);
        for (address, bytes) in [(trampoline, code), (first, jump)] {
            record.segments.push(Segment { address, role: SegmentRole::Out, arg: 0, bytes });
        }
        Some(record)
    }

    /// The record that patches the rdtsc or rdtscp of `len` bytes at `site`, in the code at `start` to `end`. `None`, and the site is left alone from
    /// now on, when it cannot be patched.
    pub fn plan_counter(&mut self, memory: &dyn Memory, area: (u64, u64), site: u64, len: u64) -> Option<Record> {
        let record = self.try_plan_counter(memory, area, site, len);
        if record.is_none() {
            self.leave(site + len);
        }
        record
    }

    fn try_plan_counter(
        &mut self,
        memory: &dyn Memory,
        (start, end): (u64, u64),
        site: u64,
        len: u64,
    ) -> Option<Record> {
        let from = start.max(site.saturating_sub(SHORT));
        let to = end.min(site + SHORT + LONGEST_MOVED);
        let mut near = memory.bytes(from, abi::size(to - from)).ok()?;
        // It traps, perhaps by a breakpoint.
        *near.get_mut(abi::size(site - from))? = Sites::ORIGINAL;
        let here = near.get(abi::size(site - from)..)?;
        let last = site + replaced_by_jump(here, site, len)?;
        let code = here.get(..abi::size(last - site))?;
        if jumps_into(&near, from, site, last) || self.is_target(memory, (start, end), site, last)? {
            return None;
        }
        let trampoline = self.place(site)?;
        let (code, continued) = counter_trampoline(code, abi::size(len), trampoline, last)?;
        let mut jump = vec![JMP];
        jump.extend(relative(site + JMP_LEN, trampoline)?);
        jump.resize(abi::size(last - site), INT3);
        let mut record = Record::new(Kind::Patch, 0, 0).with_args(&[site, trampoline, last, continued, len]);
        for (address, bytes) in [(trampoline, code), (site, jump)] {
            record.segments.push(Segment { address, role: SegmentRole::Out, arg: 0, bytes });
        }
        Some(record)
    }

    /// The next free trampoline within reach.
    fn place(&self, site: u64) -> Option<u64> {
        let free = [LOW, MIDDLE, HIGH].into_iter().filter_map(|area| {
            let at = area + self.used.get(&area).copied().unwrap_or(0) * TRAMPOLINE_LEN;
            let reaches = at.abs_diff(site) < (1 << 31) - 4096;
            (at + TRAMPOLINE_LEN <= area + TRAMPOLINES_LEN - STUB_LEN && reaches).then_some(at)
        });
        free.min_by_key(|at| at.abs_diff(site))
    }

    /// Whether a jump with 32 bits, or what looks like one, leads between `first` and `last`. `None` when the code cannot be read.
    fn is_target(&mut self, memory: &dyn Memory, (start, end): (u64, u64), first: u64, last: u64) -> Option<bool> {
        if self.targets.get(&start).is_none_or(|(known, _)| *known != end) {
            let code = memory.bytes(start, abi::size(end - start)).ok()?;
            self.targets.insert(start, (end, long_targets(&code, start)));
        }
        let (_, targets) = self.targets.get(&start)?;
        let next = targets.partition_point(|&target| target <= first);
        Some(targets.get(next).is_some_and(|&target| target < last))
    }
}

/// What can be replaced at `offset` of `near`, whose address is `at`: the better way first.
fn recognise(near: &[u8], offset: usize, at: u64, number: u64) -> impl Iterator<Item = Site> {
    let there = near.get(offset..offset + 2) == Some(&SYSCALL);
    let behind = near.get(offset + 2..offset + 8).and_then(|bytes| bytes.first_chunk::<6>());
    let compared = behind.filter(|bytes| COMPARISONS.contains(bytes));
    let compared = compared.map(|&comparison| Site::Compared { at, comparison });
    // The number is the one that the call was made with, and no prefix makes the register another one.
    let before = offset.checked_sub(6).and_then(|from| near.get(from..offset));
    let number = u32::try_from(number).ok();
    let numbered = before.zip(number).filter(|(before, number)| {
        let plain = !(0x40..0x50).contains(&before[0]) && before[0] != 0x0f;
        plain && before[1] == MOV_EAX && before[2..6] == number.to_le_bytes()
    });
    let numbered = numbered.map(|(_, number)| Site::Numbered { at: at - MOV_LEN, number });
    compared.into_iter().chain(numbered).filter(move |_| there)
}

/// How many bytes a jump in the place of an instruction of `len` bytes, the first of `code`, replaces. The instructions behind it that are among
/// them can stand elsewhere; and a compiler that has a jump lead to one of them by a table, which nobody sees, would have forgotten what the
/// first has answered: each uses that.
fn replaced_by_jump(code: &[u8], site: u64, len: u64) -> Option<u64> {
    let mut decoder = Decoder::with_ip(64, code, site, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut factory = InstructionInfoFactory::new();
    decoder.decode_out(&mut instruction);
    let is_counter = matches!(instruction.code(), Code::Rdtsc | Code::Rdtscp) && instruction.len() as u64 == len;
    let with_processor = instruction.code() == Code::Rdtscp;
    let mut all = len;
    while all < JMP_LEN {
        decoder.decode_out(&mut instruction);
        all += instruction.len() as u64;
        let info = factory.info(&instruction);
        let uses = info.used_registers().iter().any(|used| {
            let reads = matches!(used.access(), OpAccess::Read | OpAccess::ReadWrite | OpAccess::CondRead);
            let answer = match used.register().full_register() {
                Register::RAX | Register::RDX => true,
                Register::RCX => with_processor,
                _ => false,
            };
            reads && answer
        });
        let is_fence = matches!(instruction.code(), Code::Lfence | Code::Mfence);
        // The stack is there: a fault would show where the instruction stands.
        let is_harmless = info.used_memory().iter().all(|memory| {
            matches!(memory.base(), Register::RSP | Register::RBP)
                && memory.index() == Register::None
                && !matches!(memory.segment(), Register::FS | Register::GS)
        });
        let is_movable = instruction.flow_control() == FlowControl::Next && !instruction.is_invalid() && is_harmless;
        if !is_movable || !(uses || is_fence) {
            return None;
        }
    }
    (is_counter && all - len <= LONGEST_MOVED).then_some(all)
}

/// Whether a byte that could begin a short jump leads between `first` and `last`.
pub(crate) fn jumps_into(near: &[u8], base: u64, first: u64, last: u64) -> bool {
    near.windows(2).zip(base..).any(|(bytes, at)| {
        let short = matches!(bytes[0], 0xeb | 0x70..=0x7f | 0xe0..=0xe3);
        let target = (at + 2).wrapping_add_signed(bytes[1].cast_signed().into());
        short && target > first && target < last
    })
}

/// Where all jumps and calls with 32 bits lead, and everything that looks like one, within the code; ascending.
fn long_targets(code: &[u8], base: u64) -> Vec<u64> {
    let end = base + code.len() as u64;
    let relative = |bytes: &[u8]| i64::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let jumps = code.windows(5).zip(base..).filter(|(bytes, _)| matches!(bytes[0], 0xe8 | 0xe9));
    let conditional = code.windows(6).zip(base..).filter(|(bytes, _)| bytes[0] == 0x0f && bytes[1] & 0xf0 == 0x80);
    let mut targets: Vec<u64> = jumps
        .map(|(bytes, at)| (at + 5).wrapping_add_signed(relative(&bytes[1..])))
        .chain(conditional.map(|(bytes, at)| (at + 6).wrapping_add_signed(relative(&bytes[2..]))))
        .filter(|target| (base..end).contains(target))
        .collect();
    targets.sort_unstable();
    targets
}

fn relative(from: u64, to: u64) -> Option<[u8; 4]> {
    Some(i32::try_from(to.cast_signed().wrapping_sub(from.cast_signed())).ok()?.to_le_bytes())
}

/// The trampoline at `base`, and where in it a call returns to.
fn trampoline_code(site: &Site, base: u64) -> Option<(Vec<u8>, u64)> {
    let mut code = Vec::new();
    if let Site::Numbered { number, .. } = site {
        code.push(MOV_EAX);
        code.extend(number.to_le_bytes());
    }
    // lea 9(%rip),%rcx: over the jump and the syscall.
    code.extend([0x48, 0x8d, 0x0d, 9, 0, 0, 0]);
    // jmp *abs32: the first word of the interceptor.
    code.extend([0xff, 0x24, 0x25]);
    code.extend(u32::try_from(super::layout::CODE).ok()?.to_le_bytes());
    code.extend(SYSCALL);
    let continued = base + code.len() as u64;
    if let Site::Compared { comparison, .. } = site {
        code.extend(comparison);
    }
    code.push(JMP);
    code.extend(relative(base + code.len() as u64 + 4, site.back())?);
    Some((code, continued))
}

/// The trampoline at `base` of an instruction that does not change the flags, the first `len` bytes of `code`, and where in it those behind it
/// are; the program goes on at `back`. The instruction is executed there when the interceptor leaves it to the tracer: it traps by a breakpoint.
fn counter_trampoline(code: &[u8], len: usize, base: u64, back: u64) -> Option<(Vec<u8>, u64)> {
    let (instruction, moved) = code.split_at_checked(len)?;
    let mut code = Vec::new();
    // mov %rcx,abs32: into the interceptor's frame.
    code.extend([0x48, 0x89, 0x0c, 0x25]);
    code.extend(u32::try_from(places().frame + FRAME_RCX).ok()?.to_le_bytes());
    // lea 7(%rip),%rcx: the instruction behind the jump.
    code.extend([0x48, 0x8d, 0x0d, 7, 0, 0, 0]);
    // jmp *abs32
    code.extend([0xff, 0x24, 0x25]);
    code.extend(u32::try_from(TSC_ENTRY).ok()?.to_le_bytes());
    code.push(INT3);
    code.extend(instruction.get(1..)?);
    let continued = base + code.len() as u64;
    code.extend(moved);
    code.push(JMP);
    code.extend(relative(base + code.len() as u64 + 4, back)?);
    (code.len() as u64 <= TRAMPOLINE_LEN).then_some((code, continued))
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "small offsets")]
mod tests;

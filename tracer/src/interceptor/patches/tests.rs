use common::syscall::Fault;
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, OpKind, Register};
use proptest::prelude::*;

use super::*;
use crate::interceptor::layout::CODE;

/// Where a position-independent program could be.
const BASE: u64 = 0x5555_5555_4000;
const NOP: u8 = 0x90;
const NUMBER: u64 = 202;

/// Code at an address, and nothing else.
#[derive(Clone)]
struct Module {
    base: u64,
    bytes: Vec<u8>,
}

impl Memory for Module {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault { address, length: buffer.len() };
        let at = usize::try_from(address.checked_sub(self.base).ok_or(fault)?).map_err(|_| fault)?;
        buffer.copy_from_slice(self.bytes.get(at..at + buffer.len()).ok_or(fault)?);
        Ok(())
    }
}

impl Module {
    fn new(len: usize) -> Self {
        Self { base: BASE, bytes: vec![NOP; len] }
    }

    fn at(self, base: u64) -> Self {
        Self { base, ..self }
    }

    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn range(&self) -> (u64, u64) {
        (self.base, self.base + self.bytes.len() as u64)
    }

    /// Plans the `syscall` at an offset.
    fn plan(&self, patches: &mut Patches, at: usize) -> Option<Record> {
        patches.plan(self, self.range(), self.base + at as u64 + 2, NUMBER)
    }

    fn planned(&self, at: usize) -> Option<Record> {
        self.plan(&mut Patches::default(), at)
    }

    fn patched(&self, record: &Record) -> Self {
        let mut patched = self.clone();
        for segment in &record.segments {
            if (self.range().0..self.range().1).contains(&segment.address) {
                patched = patched.with(abi::size(segment.address - self.base), &segment.bytes);
            }
        }
        patched
    }
}

fn compared(which: usize) -> Vec<u8> {
    [&SYSCALL[..], &COMPARISONS[which]].concat()
}

/// The `syscall` is at 5.
fn numbered() -> Vec<u8> {
    [&[MOV_EAX][..], &abi::word(NUMBER.cast_signed()).to_le_bytes()[..4], &SYSCALL].concat()
}

fn decoded(bytes: &[u8], base: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, bytes, base, DecoderOptions::NONE).into_iter().collect()
}

fn code_at(record: &Record, address: u64) -> &[u8] {
    let found = record.segments.iter().find(|segment| segment.address == address);
    &found.expect("a patch has a segment there").bytes
}

/// What docs/fast-layer.md says of a trampoline, instruction by instruction.
#[track_caller]
fn is_documented(record: &Record, site: u64, replaced: u64, back: u64, number: Option<u32>, comparison: Option<i32>) {
    let [first, trampoline, last, moved] = [0, 1, 2, 3].map(|index| record.arg(index));
    assert_eq!((first, last), (site, site + replaced));
    assert_eq!(record.kind, Kind::Patch);
    assert_eq!(record.segments.len(), 2);

    let jump = decoded(code_at(record, first), first);
    assert_eq!(jump[0].code(), Code::Jmp_rel32_64);
    assert_eq!(jump[0].near_branch_target(), trampoline);
    assert!(jump[1..].iter().all(|rest| rest.code() == Code::Int3), "what is left of the replaced bytes traps");
    assert_eq!(code_at(record, first).len() as u64, replaced);

    let bytes = code_at(record, trampoline);
    assert!(bytes.len() as u64 <= TRAMPOLINE_LEN);
    let all = decoded(bytes, trampoline);
    let mut code = all.iter();
    let mut next = |expected: Code| {
        let found = code.next().expect("one more instruction");
        assert_eq!(found.code(), expected, "{all:?}");
        *found
    };
    if let Some(number) = number {
        let mov = next(Code::Mov_r32_imm32);
        assert_eq!((mov.op0_register(), mov.immediate32()), (Register::EAX, number));
    }
    let lea = next(Code::Lea_r64_m);
    assert_eq!(lea.op0_register(), Register::RCX);
    assert!(lea.is_ip_rel_memory_operand());
    let continued = lea.ip_rel_memory_address();
    let enter = next(Code::Jmp_rm64);
    assert_eq!(enter.op0_kind(), OpKind::Memory);
    assert_eq!((enter.memory_base(), enter.memory_index()), (Register::None, Register::None));
    assert_eq!(enter.memory_displacement64(), CODE, "the first word of the interceptor is its entry");
    let slow = next(Code::Syscall);
    assert_eq!(slow.next_ip(), continued);
    if let Some(comparison) = comparison {
        let cmp = next(Code::Cmp_RAX_imm32);
        assert_eq!(cmp.immediate32to64(), i64::from(comparison));
        assert_eq!(cmp.ip(), continued);
        assert_eq!(moved, continued);
    } else {
        assert_eq!(moved, 0, "no instruction behind the call was replaced");
    }
    let leave = next(Code::Jmp_rel32_64);
    assert_eq!(leave.near_branch_target(), back);
    assert_eq!(code.next(), None);
}

#[test]
fn a_comparison_behind_the_call_moves_to_the_trampoline() {
    for (which, against) in [(0, -4095), (1, -4096)] {
        let module = Module::new(0x1000).with(0x200, &compared(which));
        let record = module.planned(0x200).expect("it can be patched");
        is_documented(&record, BASE + 0x200, 8, BASE + 0x208, None, Some(against));
    }
}

#[test]
fn the_number_before_the_call_moves_to_the_trampoline() {
    let module = Module::new(0x1000).with(0x200, &numbered());
    let record = module.planned(0x205).expect("it can be patched");
    is_documented(&record, BASE + 0x200, 5, BASE + 0x207, Some(202), None);
    assert_eq!(module.patched(&record).bytes[0x205..0x207], SYSCALL, "the call itself stays");
}

#[test]
fn with_both_the_comparison_is_taken() {
    let both = [numbered(), COMPARISONS[0].to_vec()].concat();
    let record = Module::new(0x1000).with(0x200, &both).planned(0x205).expect("it can be patched");
    is_documented(&record, BASE + 0x205, 8, BASE + 0x20d, None, Some(-4095));
}

#[test]
fn a_site_may_be_the_first_and_the_last_of_its_mapping() {
    let compared = compared(0);
    assert!(Module::new(8).with(0, &compared).planned(0).is_some());
    // A byte before the number is looked at: it could be a prefix.
    assert!(Module::new(7).with(0, &numbered()).planned(5).is_none());
    assert!(Module::new(8).with(1, &numbered()).planned(6).is_some());
    for len in 2..8 {
        assert!(Module { base: BASE, bytes: compared[..len].to_vec() }.planned(0).is_none(), "{len} bytes");
    }
}

#[test]
fn other_code_is_left_alone() {
    let refused = |bytes: &[u8], at: usize, why: &str| {
        let module = Module::new(0x1000).with(0x200, bytes);
        let mut patches = Patches::default();
        assert_eq!(module.plan(&mut patches, 0x200 + at), None, "{why}");
        assert!(patches.is_settled(BASE + 0x202 + at as u64), "it is not looked at again: {why}");
        assert!(patches.is_empty());
    };
    refused(&SYSCALL, 0, "nothing to replace");
    refused(&[0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff], 0, "no syscall");
    refused(&[0x0f, 0x05, 0x48, 0x3d, 0x02, 0xf0, 0xff, 0xff], 0, "another comparison");
    refused(&[0x0f, 0x05, 0x49, 0x3d, 0x01, 0xf0, 0xff, 0xff], 0, "a comparison with another prefix");
    refused(&[0x0f, 0x34, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff], 0, "sysenter");
    for prefix in (0x40..0x50).chain([0x0f]) {
        refused(&[&[prefix][..], &numbered()].concat(), 6, "the register is another one");
    }
    let mut other = numbered();
    other[1] ^= 1;
    refused(&other, 5, "another number than the call was made with");
    other[1] ^= 1;
    other[4] = 1;
    refused(&other, 5, "another number, in its upper half");
    other[4] = 0;
    other[0] = 0xb9;
    refused(&other, 5, "another register");
}

/// A branch at `at` to `to`.
#[derive(Debug, Clone, Copy)]
enum Branch {
    Short(u8),
    Long(u8),
    Conditional(u8),
}

impl Branch {
    fn len(self) -> usize {
        match self {
            Self::Short(_) => 2,
            Self::Long(_) => 5,
            Self::Conditional(_) => 6,
        }
    }

    /// `None` when it does not reach that far.
    fn bytes(self, at: usize, to: i64) -> Option<Vec<u8>> {
        let relative = i32::try_from(to - (at + self.len()) as i64).ok()?;
        Some(match self {
            Self::Short(opcode) => vec![opcode, i8::try_from(relative).ok()?.to_le_bytes()[0]],
            Self::Long(opcode) => [&[opcode][..], &relative.to_le_bytes()].concat(),
            Self::Conditional(opcode) => [&[0x0f, opcode][..], &relative.to_le_bytes()].concat(),
        })
    }

    fn all() -> Vec<Self> {
        let short = [0xeb].into_iter().chain(0x70..=0x7f).chain(0xe0..=0xe3).map(Self::Short);
        short.chain([0xe8, 0xe9].map(Self::Long)).chain((0x80..=0x8f).map(Self::Conditional)).collect()
    }
}

/// Every kind of branch, from everywhere around, to every byte of a site.
#[test]
fn branches_into_replaced_bytes_are_found_wherever_they_stand() {
    const SITE: usize = 0x200;
    let mut within = 0;
    for (site, at, range) in
        [(compared(0), SITE, (SITE, SITE + 8)), (numbered(), SITE + MOV_LEN as usize, (SITE, SITE + 5))]
    {
        for branch in Branch::all() {
            let places = (SITE - 160..SITE - 6).chain(SITE + 8..SITE + 160).chain([0, 0x1000 - branch.len()]);
            for place in places {
                for to in range.0 - 1..range.1 + 3 {
                    let Some(bytes) = branch.bytes(place, to as i64) else { continue };
                    let planned = Module::new(0x1000).with(SITE, &site).with(place, &bytes).planned(at);
                    let inside = to > range.0 && to < range.1;
                    assert_eq!(planned.is_none(), inside, "{branch:x?} from {place:#x} to {to:#x}");
                    within += usize::from(inside);
                }
            }
        }
    }
    assert!(within > 10_000, "branches that lead into replaced bytes: {within}");
}

#[test]
fn code_without_a_trampoline_in_reach_is_left_alone() {
    let module = Module::new(0x1000).with(0x200, &compared(0));
    for (base, reached) in [
        (0x40_0000, Some(LOW)),
        (0x4000_0000, Some(LOW)),
        (0x7fff_0000, Some(LOW)),
        (0x8010_0000, None),
        (0x1000_0000_0000, None),
        (0x5555_5555_4000, Some(MIDDLE)),
        (0x5554_d100_0000, Some(MIDDLE)),
        (0x5554_cfff_0000, None),
        (0x5555_d100_0000, None),
        (0x7fff_f7fb_0000, Some(HIGH)),
        (0x7fff_7900_0000, Some(HIGH)),
        (0x7fff_7700_0000, None),
    ] {
        let record = module.clone().at(base).planned(0x200);
        assert_eq!(record.map(|record| record.arg(1)), reached, "code at {base:#x}");
    }
}

#[test]
fn trampolines_are_handed_out_once_and_come_to_an_end() {
    let count = usize::try_from((TRAMPOLINES_LEN - STUB_LEN) / TRAMPOLINE_LEN).unwrap();
    let code: Vec<u8> = (0..=count).flat_map(|_| compared(0)).collect();
    let module = Module { base: BASE, bytes: code };
    let mut patches = Patches::default();
    for index in 0..count {
        let record = module.plan(&mut patches, index * 8).expect("a trampoline is left");
        let start = record.arg(1);
        assert_eq!(start, MIDDLE + index as u64 * TRAMPOLINE_LEN);
        assert!(start + code_at(&record, start).len() as u64 <= MIDDLE + TRAMPOLINES_LEN);
        patches.learn(&record);
    }
    assert_eq!(patches.len(), count);
    assert_eq!(module.plan(&mut patches, count * 8), None, "none is left");
    // Code that goes does not give them back: the server may still be in one.
    patches.unmapped(BASE, 0x10000);
    assert_eq!(module.plan(&mut patches, 0), None, "none is left");
    assert!(module.at(0x40_0000).plan(&mut patches, 0).is_some(), "there are others elsewhere");
}

/// A replica learns from records what the primary planned: after a failover it plans the same.
#[test]
fn who_learns_knows_as_much_as_who_planned() {
    let module = Module::new(0x1000).with(0x200, &compared(0)).with(0x300, &numbered()).with(0x400, &compared(1));
    let (mut planner, mut learner) = (Patches::default(), Patches::default());
    for at in [0x200, 0x305, 0x400] {
        let record = module.plan(&mut planner, at).expect("it can be patched");
        assert_eq!(module.plan(&mut learner, at).as_ref(), Some(&record));
        planner.learn(&record);
        let mut encoded = Vec::new();
        record.encode_into(&mut encoded);
        learner.learn(&Record::decode(&encoded).unwrap().0);
        assert_eq!((planner.len(), &planner.patches), (learner.len(), &learner.patches));
    }
    // The record of another kind of patch says nothing about sites.
    learner.learn(&Record::new(Kind::Patch, 0, 0));
    assert_eq!(learner.len(), 3);
}

#[test]
fn a_return_into_replaced_bytes_goes_on_in_the_trampoline() {
    let module = Module::new(0x1000).with(0x200, &compared(0)).with(0x300, &numbered());
    let mut patches = Patches::default();
    for at in [0x200, 0x305] {
        let record = module.plan(&mut patches, at).expect("it can be patched");
        patches.learn(&record);
    }
    for rip in 0x1f0..0x310 {
        let expected = (rip == 0x202).then_some(MIDDLE + 16);
        assert_eq!(patches.moved(BASE + rip), expected, "at {rip:#x}");
    }
    assert_eq!(decoded(code_at(&module.planned(0x200).unwrap(), MIDDLE), MIDDLE)[3].ip(), MIDDLE + 16);
    assert_eq!(patches.moved(0), None);
    assert_eq!(patches.moved(u64::MAX), None);
}

#[test]
fn what_is_unmapped_is_forgotten() {
    let module = Module::new(0x3000).with(0x200, &compared(0)).with(0x1ffc, &compared(0)).with(0x2800, &SYSCALL);
    let mut patches = Patches::default();
    for at in [0x200, 0x1ffc] {
        let record = module.plan(&mut patches, at).expect("it can be patched");
        patches.learn(&record);
    }
    assert_eq!(module.plan(&mut patches, 0x2800), None);
    assert!(patches.is_settled(BASE + 0x2802));

    // Pages next to it, and no page at all.
    for (start, len) in [(BASE - 0x1000, 0x1000), (BASE + 0x3000, 0x1000), (BASE, 0)] {
        patches.unmapped(start, len);
        assert_eq!(patches.len(), 2);
        assert!(patches.is_settled(BASE + 0x2802));
    }
    let within = |start: u64, len: u64| patches.any_within(BASE + start, len);
    assert!(
        within(0x200, 1) && within(0x207, 1) && within(0x1000, 0x1000) && within(0x2000, 0x1000) && within(0, u64::MAX)
    );
    assert!(!within(0x208, 0x1000) && !within(0, 0x200) && !within(0x2004, 0x1000) && !within(0x200, 0));
    // The second site lies in two pages.
    let mut half = patches.clone();
    half.unmapped(BASE + 0x1000, 0x1000);
    assert_eq!((half.len(), half.moved(BASE + 0x202).is_some(), half.moved(BASE + 0x1ffe)), (1, true, None));
    patches.unmapped(BASE + 0x2000, 0x1000);
    assert_eq!((patches.len(), patches.is_settled(BASE + 0x2802)), (1, false));

    // Other code at the same place is looked at anew.
    let other = module.with(0x210, &Branch::Long(0xe9).bytes(0x210, 0x1ffe).unwrap());
    assert_eq!(other.plan(&mut patches, 0x1ffc), None, "a jump leads into it now");
    patches.unmapped(BASE, u64::MAX);
    assert!(patches.is_empty());
}

const RDTSC: [u8; 2] = [0x0f, 0x31];
const RDTSCP: [u8; 3] = [0x0f, 0x01, 0xf9];
/// `shl $32,%rdx; or %rdx,%rax`: as compilers put the halves together.
const TOGETHER: [u8; 7] = [0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0];

impl Module {
    fn plan_counter(&self, patches: &mut Patches, at: usize, len: u64) -> Option<Record> {
        patches.plan_counter(self, self.range(), self.base + at as u64, len)
    }
}

fn counted(instruction: &[u8], behind: &[u8]) -> Vec<u8> {
    [instruction, behind].concat()
}

/// What docs/fast-layer.md says of the trampoline of an instruction.
#[test]
fn instructions_behind_a_counter_move_to_the_trampoline() {
    for (instruction, code, replaced) in [(&RDTSC[..], Code::Rdtsc, 6), (&RDTSCP[..], Code::Rdtscp, 7)] {
        let len = instruction.len() as u64;
        let module = Module::new(0x1000).with(0x200, &counted(instruction, &TOGETHER));
        let record = module.plan_counter(&mut Patches::default(), 0x200, len).expect("it can be patched");
        let [site, trampoline, last, moved] = [0, 1, 2, 3].map(|index| record.arg(index));
        assert_eq!((site, trampoline, last), (BASE + 0x200, MIDDLE, BASE + 0x200 + replaced));
        assert_eq!(record.logged_arg(4), Some(len));
        let jump = decoded(code_at(&record, site), site);
        assert_eq!((jump[0].code(), jump[0].near_branch_target()), (Code::Jmp_rel32_64, trampoline));
        assert!(jump[1..].iter().all(|rest| rest.code() == Code::Int3), "what is left of the replaced bytes traps");

        let mut there = code_at(&record, trampoline).to_vec();
        let stands = (moved - trampoline - len) as usize;
        assert_eq!(there[stands], INT3, "the instruction traps");
        there[stands] = instruction[0];
        let all = decoded(&there, trampoline);
        let codes: Vec<Code> = all.iter().map(Instruction::code).collect();
        let expected =
            [Code::Mov_rm64_r64, Code::Lea_r64_m, Code::Jmp_rm64, code, Code::Shl_rm64_imm8, Code::Jmp_rel32_64];
        assert_eq!(codes, expected);
        assert_eq!(all[0].memory_displacement64(), places().frame + FRAME_RCX);
        assert_eq!(all[1].ip_rel_memory_address(), all[3].ip(), "rcx is where the instruction is");
        assert_eq!(all[2].memory_displacement64(), TSC_ENTRY);
        assert_eq!((all[3].next_ip(), all[4].ip()), (moved, moved));
        assert_eq!(all[5].near_branch_target(), last);
    }
}

#[test]
fn what_cannot_stand_elsewhere_behind_a_counter_stays() {
    let planned = |instruction: &[u8], behind: &[u8]| {
        let module = Module::new(0x1000).with(0x200, &counted(instruction, behind));
        let mut patches = Patches::default();
        let len = instruction.len() as u64;
        let record = module.plan_counter(&mut patches, 0x200, len);
        assert_eq!(
            record.is_none(),
            patches.is_settled(BASE + 0x200 + len),
            "what is left alone is not looked at again"
        );
        record.is_some()
    };
    for (behind, why) in [
        (&[0xeb, 0x00, 0x90][..], "a jump"),
        (&[0xe8, 0, 0, 0, 0], "a call"),
        (&[0xc3, 0x90, 0x90], "a return"),
        (&[0x0f, 0x05, 0x90], "a system call"),
        (&[0x0f, 0x31, 0x90], "the counter again: it traps"),
        (&[0x0f, 0xa2, 0x90], "cpuid"),
        (&[0xcc, 0x90, 0x90], "a patched cpuid"),
        (&[0x90, 0x90, 0x90], "what does not use the answer: a jump through a table may lead there"),
        (&[0x89, 0xc1, 0x90], "the same behind what does"),
        (&[0x31, 0xc0, 0x90], "an answer that nobody uses"),
        (&[0x89, 0x05, 0, 0, 0, 0], "an address relative to the instruction"),
        (&[0x89, 0x07, 0x90], "memory that may not be there"),
        (&[0x64, 0x89, 0x45, 0x00], "memory in another segment"),
        (&[0x06, 0x90, 0x90], "no instruction"),
    ] {
        assert!(!planned(&RDTSC, behind), "{why}");
    }
    assert!(planned(&RDTSC, &[0x89, 0x45, 0xfc]), "a word of the stack");
    assert!(planned(&RDTSC, &[0x89, 0xc1, 0x89, 0xd6]), "two short ones");
    assert!(planned(&RDTSC, &[0x0f, 0xae, 0xe8, 0x90]), "a fence");
    assert!(planned(&RDTSCP, &[0x89, 0xce]), "the processor");
    assert!(!planned(&RDTSC, &[0x89, 0xce, 0x90]), "which is none of rdtsc's answers");
    assert!(!planned(&[0x0f, 0xa2], &TOGETHER), "no counter");
    let at_the_end = Module::new(5).with(0, &counted(&RDTSC, &[0x89, 0xc1]));
    assert!(at_the_end.plan_counter(&mut Patches::default(), 0, 2).is_none(), "the mapping ends before");
}

/// As for calls, with the longest of what is moved.
#[test]
fn branches_behind_a_counter_are_found() {
    const SITE: usize = 0x200;
    // mov %rax,0x100(%rsp), twice two short ones before.
    let site = counted(&RDTSC, &[0x89, 0xc1, 0x48, 0x89, 0x84, 0x24, 0, 1, 0, 0]);
    let end = SITE + site.len();
    let mut within = 0;
    for branch in Branch::all() {
        for place in (SITE - 160..SITE - 6).chain(end..end + 160).chain([0, 0x1000 - branch.len()]) {
            for to in SITE - 1..end + 2 {
                let Some(bytes) = branch.bytes(place, to as i64) else { continue };
                let module = Module::new(0x1000).with(SITE, &site).with(place, &bytes);
                let planned = module.plan_counter(&mut Patches::default(), SITE, 2);
                let inside = to > SITE && to < end;
                assert_eq!(planned.is_none(), inside, "{branch:x?} from {place:#x} to {to:#x}");
                within += usize::from(inside);
            }
        }
    }
    assert!(within > 10_000, "branches that lead into replaced bytes: {within}");
}

#[test]
fn a_return_behind_a_counter_goes_on_in_the_trampoline() {
    // Two instructions are moved: 2 and 3 bytes.
    let module = Module::new(0x1000).with(0x200, &counted(&RDTSC, &[0x89, 0xc1, 0x48, 0x89, 0xd6]));
    let (mut patches, mut learner) = (Patches::default(), Patches::default());
    let record = module.plan_counter(&mut patches, 0x200, 2).expect("it can be patched");
    let moved = record.arg(3);
    assert!(!patches.has_counters() && !patches.is_counter(BASE + 0x200));
    patches.learn(&record);
    learner.learn(&record);
    assert_eq!(patches.patches, learner.patches);
    assert!(patches.has_counters() && patches.is_counter(BASE + 0x200) && !patches.is_counter(BASE + 0x202));
    for rip in 0x1f0..0x210u64 {
        let expected = (0x202..0x207).contains(&rip).then(|| moved + rip - 0x202);
        assert_eq!(patches.moved(BASE + rip), expected, "at {rip:#x}");
    }
    // Both, and the jump back.
    for rip in MIDDLE..MIDDLE + 2 * TRAMPOLINE_LEN {
        assert_eq!(patches.is_behind_counter(rip), (moved..moved + 10).contains(&rip), "at {rip:#x}");
    }
    assert!(!patches.is_behind_counter(BASE + 0x202));
}

#[test]
fn a_counter_is_patched_when_it_is_hot() {
    let module = Module::new(0x1000).with(0x200, &RDTSC);
    let mut patches = Patches::default();
    let site = BASE + 0x200;
    assert!((1..HOT).all(|_| !patches.trapped(site, 2)));
    assert!(!patches.trapped(site + 0x10, 2), "each for itself");
    assert!(patches.trapped(site, 2) && patches.trapped(site, 2), "until it is tried");
    assert_eq!(module.plan_counter(&mut patches, 0x200, 2), None);
    assert!(!patches.trapped(site, 2), "once");
    assert!((0..2 * HOT).all(|_| !patches.trapped(MIDDLE + 22, 2)), "in a trampoline it stays");
}

fn branch() -> impl Strategy<Value = (Branch, usize, i64)> {
    let all = Branch::all();
    ((0..all.len()).prop_map(move |index| all[index]), 0..390usize, -4..12i64)
}

proptest! {
    /// Random code with a site in it: when it is patched, nothing outside of it branches to what was in its midst.
    #[test]
    fn no_branch_leads_into_a_patch(
        bytes in prop::collection::vec(any::<u8>(), 400),
        at in 6..390usize,
        branches in prop::collection::vec(branch(), 0..3),
        kind in 0..3usize,
        quiet in any::<bool>(),
    ) {
        let mut module = Module { base: BASE, bytes: if quiet { vec![NOP; 400] } else { bytes } };
        for (branch, place, aim) in branches {
            if let Some(bytes) = branch.bytes(place, at as i64 + aim) {
                let end = (place + bytes.len()).min(400);
                module.bytes.splice(place..end, bytes[..end - place].iter().copied());
            }
        }
        let (site, begin) = if kind < 2 { (compared(kind), at) } else { (numbered(), at - 5) };
        let module = module.with(begin, &site);
        let Some(record) = module.planned(at) else { return Ok(()) };
        let (first, last) = (record.arg(0), record.arg(2));
        for offset in 0..400 {
            let start = BASE + offset as u64;
            if (first..last).contains(&start) {
                continue;
            }
            let mut decoder = Decoder::with_ip(64, &module.bytes[offset..], start, DecoderOptions::NONE);
            let instruction = decoder.decode();
            let branches = matches!(
                instruction.flow_control(),
                FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch | FlowControl::Call
            );
            if branches && instruction.op0_kind() == OpKind::NearBranch64 {
                let target = instruction.near_branch_target();
                prop_assert!(!(target > first && target < last), "{instruction:?} at {start:#x}");
            }
        }
    }
}

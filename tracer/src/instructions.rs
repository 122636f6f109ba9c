//! Instructions that answer differently from run to run or from core to core.
//!
//! cpuid cannot be made to trap everywhere, so its sites are patched to int3: those that both a search for its bytes and a linear
//! disassembly of the executable mapping find. So are those of xsave, as the loader has it ([`xsave`]). The list of sites is in the log.
//!
//! rdtsc and rdtscp can be made to trap everywhere, by prctl(PR_SET_TSC): a SIGSEGV with si_code SI_KERNEL at one of their encodings. But then each
//! switch from or to the process changes a control register, which takes a virtual machine microseconds. So their sites are patched as well, and
//! they trap everywhere only from when there is code in which their bytes may be executed otherwise ([`Trap`]).

mod xsave;

use std::collections::BTreeSet;

use common::abi::{self, PAGE};
use common::digest::Digest;
use common::record::{Instruction, Kind, Record, Segment, SegmentRole};
use common::syscall::{Memory, nr};
use iced_x86::{Code, Decoder, DecoderOptions};
use thiserror::Error;

use self::xsave::Stored;
use crate::inject::{Held, InjectError, Session};
use crate::place::near;
use crate::sys::cpu;
use crate::tracee::{Registers, Stopped, TraceeError, checked};

const SI_KERNEL: i32 = 0x80;
const CPUID: [u8; 2] = [0x0f, 0xa2];
/// Without a prefix: all that a compiler makes of it has none.
const XSAVE: [u8; 2] = [0x0f, 0xae];
/// The longest instruction in bytes.
const LONGEST: usize = 15;
const RDTSC: [u8; 2] = [0x0f, 0x31];
const RDTSCP: [u8; 3] = [0x0f, 0x01, 0xf9];
const INT3: u8 = 0xcc;
/// The same in two bytes.
const INT_3: [u8; 2] = [0xcd, 3];

/// Where rdtsc and rdtscp trap: the number of a Patch record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Trap {
    /// Where they did before.
    AsBefore = 0,
    /// Where they are patched, for the bytes of neither are anywhere else but in the midst of other instructions.
    AtSites = 1,
    /// Everywhere.
    Everywhere = 2,
}

impl Trap {
    /// What a Patch record says; [`None`] when it says something unknown.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        [Self::AsBefore, Self::AtSites, Self::Everywhere].into_iter().find(|trap| *trap as u16 == record.number)
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When the process is gone or may not.
    pub fn set(self, stopped: Stopped) -> Result<(Stopped, Vec<Held>), InjectError> {
        let how = match self {
            Self::AsBefore => return Ok((stopped, Vec::new())),
            Self::AtSites => libc::PR_TSC_ENABLE,
            Self::Everywhere => libc::PR_TSC_SIGSEGV,
        };
        let regs = stopped.registers()?;
        let args = [abi::word(libc::PR_SET_TSC), abi::word(how), 0, 0, 0, 0];
        let (session, _) = Session::begin(stopped, regs).call(nr::PRCTL.into(), args)?;
        session.end()
    }
}

/// Addresses of patched instructions.
#[derive(Debug, Clone, Default)]
pub struct Sites(BTreeSet<u64>);

impl Sites {
    /// Adds sites.
    pub fn add(&mut self, sites: impl IntoIterator<Item = u64>) {
        self.0.extend(sites);
    }

    /// The first byte of the instruction that stood at a site.
    pub const ORIGINAL: u8 = CPUID[0];

    /// The sites from `start` up to, but not including, `end`.
    pub fn within(&self, start: u64, end: u64) -> impl Iterator<Item = u64> + '_ {
        self.0.range(start..end).copied()
    }

    /// Forgets the sites in an area that is mapped anew or unmapped.
    pub fn unmapped(&mut self, start: u64, len: u64) {
        let gone: Vec<u64> = self.0.range(start..start.saturating_add(len)).copied().collect();
        for site in gone {
            self.0.remove(&site);
        }
    }

    /// An rdtsc or rdtscp was patched to lead to the interceptor: it may trap in its trampoline from now on. See [`counter_in_trampoline`].
    pub fn moved(&mut self, patch: &Record) {
        if let Some(trampoline) = counter_in_trampoline(patch) {
            self.0.remove(&patch.arg(0));
            self.0.insert(trampoline);
        }
    }

    /// Whether there is a patched site.
    #[must_use]
    pub fn contains(&self, site: u64) -> bool {
        self.0.contains(&site)
    }
}

/// A trapped instruction at which a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trapped {
    /// Which.
    pub instruction: Instruction,
    /// Its address.
    pub site: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// Why a trapped instruction cannot be carried out.
#[derive(Debug, Error)]
pub enum InstructionError {
    /// Its operand is not where it can be.
    #[error(
        "xsave at {site:#x}: expected an operand in writable memory at a multiple of 64, found {found}: a server that means this cannot be replicated"
    )]
    Operand {
        /// Where it stands.
        site: u64,
        /// What there is instead.
        found: String,
    },
    /// The process is gone.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
}

fn si_code(info: &[u8]) -> i32 {
    info.get(8..12).and_then(|b| b.try_into().ok()).map_or(0, i32::from_le_bytes)
}

/// Tells whether the signal that a process is about to get stands for one of the trapped instructions.
#[must_use]
pub fn trapped(process: &Stopped, regs: &Registers, signal: i32, info: &[u8], sites: &Sites) -> Option<Trapped> {
    match signal {
        libc::SIGSEGV if si_code(info) == SI_KERNEL => {
            let mut code = [0; 3];
            if process.read(regs.rip, &mut code).is_err() {
                process.read(regs.rip, &mut code[..2]).ok()?;
            }
            let (instruction, len) = match code {
                [0x0f, 0x31, _] => (Instruction::Rdtsc, 2),
                [0x0f, 0x01, 0xf9] => (Instruction::Rdtscp, 3),
                _ => return None,
            };
            Some(Trapped { instruction, site: regs.rip, len })
        }
        libc::SIGTRAP => {
            let site = regs.rip.wrapping_sub(1);
            let code = sites.contains(site).then(|| process.bytes(site, 2)).and_then(Result::ok)?;
            let (instruction, len) = match *code.as_slice() {
                [INT3, second] if second == CPUID[1] => (Instruction::Cpuid, 2),
                [INT3, second] if second == RDTSC[1] => (Instruction::Rdtsc, 2),
                [INT3, second] if second == RDTSCP[1] => (Instruction::Rdtscp, 3),
                [INT3, second] if second == XSAVE[1] => (Instruction::Xsave, original(process, site)?.len() as u64),
                _ => return None,
            };
            Some(Trapped { instruction, site, len })
        }
        _ => None,
    }
}

/// The registers with which a process comes to the instruction again whose signal it is about to get: behind a breakpoint it stands
/// already. (A trap flag's instruction has been executed; the next one traps as well.)
///
/// # Errors
/// When the process is gone.
pub fn before(process: &Stopped, signal: i32) -> Result<Registers, TraceeError> {
    let regs = process.registers()?;
    let breakpoint = signal == libc::SIGTRAP && si_code(&process.siginfo()?) == SI_KERNEL;
    let is = |code: &[u8]| {
        let start = regs.rip.wrapping_sub(code.len() as u64);
        process.bytes(start, code.len()).is_ok_and(|found| found == code).then_some(start)
    };
    let start = if breakpoint { is(&[INT3]).or_else(|| is(&INT_3)) } else { None };
    Ok(Registers { rip: start.unwrap_or(regs.rip), ..regs })
}

/// The instruction that stood at a site.
fn original(memory: &dyn Memory, site: u64) -> Option<iced_x86::Instruction> {
    // The page behind it may not be there.
    let mut code = (2..=LONGEST).rev().find_map(|len| memory.bytes(site, len).ok())?;
    code[0] = Sites::ORIGINAL;
    let instruction = Decoder::with_ip(64, &code, site, DecoderOptions::NONE).decode();
    (!instruction.is_invalid()).then_some(instruction)
}

/// Does what a trapped instruction does to memory, in the recorded process and in the replica.
///
/// # Errors
/// When the operand is not where it can be, or the process is gone.
pub fn carry_out(process: &Stopped, trapped: Trapped, regs: &Registers) -> Result<(), InstructionError> {
    if trapped.instruction != Instruction::Xsave {
        return Ok(());
    }
    let site = trapped.site;
    let operand = |found: String| InstructionError::Operand { site, found };
    let address = original(process, site)
        .and_then(|instruction| instruction.virtual_address(0, 0, |register, _, _| near::value(register, regs)))
        .ok_or_else(|| operand("none".to_owned()))?;
    if !address.is_multiple_of(xsave::ALIGNMENT) {
        return Err(operand(format!("{address:#x}")));
    }
    let asked = regs.rdx << 32 | regs.rax & 0xffff_ffff;
    let Stored { components, pieces } =
        xsave::stored(&process.xstate()?, asked).ok_or_else(|| operand("an extended state that is cut".to_owned()))?;
    let wrong = |error: TraceeError| operand(format!("{address:#x}: {error}"));
    let in_use = address + xsave::IN_USE;
    let before = process.bytes(in_use, 8).ok().and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let before = before.ok_or_else(|| operand(format!("nothing at {in_use:#x}")))?;
    process.write(in_use, &(before | components).to_le_bytes()).map_err(wrong)?;
    for (at, bytes) in pieces {
        process.write(address + at as u64, &bytes).map_err(wrong)?;
    }
    Ok(())
}

/// Executes a trapped instruction here and records the answer. `counter` is the server's time-stamp counter, and what rdtscp answers besides.
#[must_use]
pub fn answer(trapped: Trapped, regs: &Registers, counter: impl FnOnce() -> (u64, u32)) -> Record {
    let [rax, rbx, rcx, rdx] = match trapped.instruction {
        Instruction::Rdtsc => {
            let (tsc, _) = counter();
            [tsc & 0xffff_ffff, regs.rbx, regs.rcx, tsc >> 32]
        }
        Instruction::Rdtscp => {
            let (tsc, aux) = counter();
            [tsc & 0xffff_ffff, regs.rbx, aux.into(), tsc >> 32]
        }
        Instruction::Cpuid => {
            let (leaf, subleaf) = (abi::uint(regs.rax), abi::uint(regs.rcx));
            without_hidden(leaf, subleaf, cpu::cpuid(leaf, subleaf)).map(u64::from)
        }
        Instruction::Xsave => [regs.rax, regs.rbx, regs.rcx, regs.rdx],
    };
    let args = [trapped.site, rax, rbx, rcx, rdx];
    // What changes no register needs none.
    let logged = if trapped.instruction == Instruction::Xsave { &args[..1] } else { &args[..] };
    let mut record = Record::new(Kind::Instruction, trapped.instruction as u16, 0).with_args(logged);
    record.check = check(trapped, regs);
    record
}

/// The check of a trapped instruction: the registers, rip at the instruction; of cpuid also leaf and subleaf.
#[must_use]
pub fn check(trapped: Trapped, regs: &Registers) -> u64 {
    let mut digest = Digest::of_registers(&checked(&Registers { rip: trapped.site, ..*regs }));
    if trapped.instruction == Instruction::Cpuid {
        [regs.rax, regs.rcx].into_iter().for_each(|input| digest.word(input & 0xffff_ffff));
    }
    digest.finish()
}

/// (leaf, subleaf, register from EAX on, bit) of instructions whose results cannot be recorded: a program that asks first does
/// without them. RDRAND; HLE, RTM, RDSEED; RDPID; XSAVEOPT, XSAVEC, XGETBV of what is in use; RDPRU (Intel SDM volume 2A, CPUID; AMD APM
/// volume 3, appendix E).
const HIDDEN: [(u32, u32, usize, u32); 9] = [
    (1, 0, 2, 30),
    (7, 0, 1, 4),
    (7, 0, 1, 11),
    (7, 0, 1, 18),
    (7, 0, 2, 22),
    (0xd, 1, 0, 0),
    (0xd, 1, 0, 1),
    (0xd, 1, 0, 2),
    (0x8000_0008, 0, 1, 4),
];

fn without_hidden(leaf: u32, subleaf: u32, mut answer: [u32; 4]) -> [u32; 4] {
    for (_, _, register, bit) in
        HIDDEN.iter().filter(|(l, s, ..)| *l == leaf && (*s == subleaf || !matches!(leaf, 7 | 0xd)))
    {
        answer[*register] &= !(1 << bit);
    }
    answer
}

/// The registers after the instruction, as its record says.
#[must_use]
pub fn apply(trapped: Trapped, record: &Record, regs: &Registers) -> Registers {
    let mut regs = *regs;
    regs.rip = trapped.site + trapped.len;
    if trapped.instruction == Instruction::Xsave {
        return regs;
    }
    regs.rax = record.arg(1);
    regs.rbx = record.arg(2);
    regs.rcx = record.arg(3);
    regs.rdx = record.arg(4);
    regs
}

/// Whether these can be the first bytes of an instruction that is to trap: of xsave in memory, number 4 of its group.
fn is_candidate(code: &[u8]) -> bool {
    match code {
        [first, second, ..] if [*first, *second] == CPUID || [*first, *second] == RDTSC => true,
        [first, second, third, ..] if [*first, *second, *third] == RDTSCP => true,
        [first, second, third, ..] => [*first, *second] == XSAVE && third >> 3 & 7 == 4 && third >> 6 != 3,
        _ => false,
    }
}

/// Where the instruction stands in its trampoline, patched like a site, if a Patch record is about an rdtsc or rdtscp.
fn counter_in_trampoline(patch: &Record) -> Option<u64> {
    patch.logged_arg(4).map(|len| patch.arg(3).wrapping_sub(len))
}

/// Finds the instructions in code that is loaded at `base` that are to trap.
#[must_use]
pub fn sites(code: &[u8], base: u64) -> Vec<u64> {
    let candidates: BTreeSet<u64> =
        (0..code.len()).filter(|&at| is_candidate(&code[at..])).map(|at| base + at as u64).collect();
    if candidates.is_empty() {
        return Vec::new();
    }
    let mut decoder = Decoder::with_ip(64, code, base, DecoderOptions::NONE);
    let mut instruction = iced_x86::Instruction::default();
    let mut sites = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if matches!(instruction.code(), Code::Cpuid | Code::Rdtsc | Code::Rdtscp | Code::Xsave_mem)
            && candidates.contains(&instruction.ip())
        {
            sites.push(instruction.ip());
        }
    }
    sites
}

/// How far before a place disassembly begins to see what stands there.
const BEFORE: usize = 128;

/// Whether code may execute rdtsc or rdtscp other than at `sites`: their bytes are there, and not surely in the midst of other instructions. Whatever
/// byte it begins with, disassembly soon finds the same instructions; so it is begun at each of several.
fn may_read_counter(code: &[u8], base: u64, sites: &[u64]) -> bool {
    let begins = |at: usize| {
        let rest = &code[at..];
        // What the code behind this area begins with is not known here.
        let is_cut = rest.len() < RDTSCP.len() && (RDTSC.starts_with(rest) || RDTSCP.starts_with(rest));
        is_cut || rest.starts_with(&RDTSC) || rest.starts_with(&RDTSCP)
    };
    let occurs = |&at: &usize| begins(at) && sites.binary_search(&(base + at as u64)).is_err();
    (0..code.len()).filter(occurs).any(|at| {
        let first = at.saturating_sub(BEFORE);
        at == 0 || (first..at.min(first + LONGEST)).any(|start| executes_at(&code[start..], at - start))
    })
}

/// Whether disassembly comes to an instruction at an offset, or to an rdtsc or rdtscp that is there and has a prefix.
fn executes_at(code: &[u8], offset: usize) -> bool {
    let mut decoder = Decoder::new(64, code, DecoderOptions::NONE);
    let mut instruction = iced_x86::Instruction::default();
    while decoder.position() < offset {
        decoder.decode_out(&mut instruction);
    }
    decoder.position() == offset || matches!(instruction.code(), Code::Rdtsc | Code::Rdtscp)
}

/// Patches the instructions of an area that are to trap; the record says where. Whether rdtsc and rdtscp trap wherever they can be executed in it.
///
/// # Errors
/// When the area cannot be written.
pub fn patch(stopped: &Stopped, start: u64, len: u64) -> Result<(Record, bool), TraceeError> {
    let mut record = Record::new(Kind::Patch, 0, 0);
    let mut code = Vec::new();
    let end = start + len.next_multiple_of(PAGE);
    for page in (start..end).step_by(abi::size(PAGE)) {
        // Pages beyond the end of the file cannot be read: no code there.
        let Ok(bytes) = stopped.bytes(page, abi::size(PAGE)) else { break };
        code.extend(bytes);
    }
    let sites = sites(&code, start);
    for &site in &sites {
        stopped.write(site, &[INT3])?;
        record.segments.push(Segment { address: site, role: SegmentRole::Out, arg: 0, bytes: vec![INT3] });
    }
    Ok((record, !may_read_counter(&code, start, &sites)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_that_cannot_be_recorded_are_not_offered() {
        let all = [u32::MAX; 4];
        assert_eq!(without_hidden(1, 5, all), [u32::MAX, u32::MAX, !(1 << 30), u32::MAX]);
        assert_eq!(without_hidden(7, 0, all)[1], !(1 << 4 | 1 << 11 | 1 << 18));
        assert_eq!(without_hidden(7, 1, all), all);
        assert_eq!(without_hidden(2, 0, all), all);
    }

    #[test]
    fn code_that_may_read_the_counter_unseen_is_known() {
        let unseen = |code: &[u8]| may_read_counter(code, 0x1000, &sites(code, 0x1000));
        let nops = |count: usize, code: &[u8]| [&vec![0x90; count], code, &[0xc3; 8]].concat();
        // mov eax, 0xf90131_0f; both instructions themselves; a displacement in the midst of a long function.
        assert!(!unseen(&nops(200, &[0xb8, 0x0f, 0x31, 0x01, 0xf9])));
        assert!(!unseen(&nops(200, &[0x0f, 0x31, 0x0f, 0x01, 0xf9])));
        assert_eq!(sites(&nops(3, &[0x0f, 0x31, 0x0f, 0x01, 0xf9]), 0x1000), [0x1003, 0x1005]);
        // With a prefix; behind what may be data; cut off at the end, and at the beginning.
        assert!(unseen(&nops(200, &[0xf3, 0x0f, 0x31])) && unseen(&nops(200, &[0x66, 0x0f, 0x01, 0xf9])));
        assert!(
            unseen(&[vec![0x90; 200], vec![0xc3, 0x0f]].concat())
                && unseen(&[vec![0x90; 200], vec![0xc3, 0x0f, 1]].concat())
        );
    }

    #[test]
    fn only_bytes_that_are_an_instruction_count() {
        // mov eax, 0x0000a20f contains the bytes of cpuid; the cpuid behind it is one.
        let code = [0xb8, 0x0f, 0xa2, 0x00, 0x00, 0x0f, 0xa2, 0xc3];
        assert_eq!(sites(&code, 0x1000), [0x1005]);
        // xsave 0x40(%rsp), fxrstor and xrstor of the same, lfence, mfence, xsave64: the first one.
        let code = [
            [0x0f, 0xae, 0x64, 0x24, 0x40].as_slice(),
            &[0x0f, 0xae, 0x4c, 0x24, 0x40, 0x0f, 0xae, 0x6c, 0x24, 0x40],
            &[0x0f, 0xae, 0xe8, 0x0f, 0xae, 0xf0, 0x48, 0x0f, 0xae, 0x64, 0x24, 0x40],
        ]
        .concat();
        assert_eq!(sites(&code, 0x1000), [0x1000]);
    }
}

//! Instructions that answer differently from run to run or from core to core.
//!
//! rdtsc and rdtscp trap by prctl(PR_SET_TSC): a SIGSEGV with si_code SI_KERNEL at one of their encodings. cpuid cannot be
//! made to trap everywhere, so its sites are patched to int3: those that both a search for its bytes and a linear
//! disassembly of the executable mapping find. The list of sites is in the log.

use std::collections::BTreeSet;

use common::abi;
use common::digest::Digest;
use common::record::{Instruction, Kind, Record, Segment, SegmentRole};
use common::syscall::Memory;
use iced_x86::{Code, Decoder, DecoderOptions};

use crate::sys::cpu;
use crate::tracee::{Registers, Stopped, TraceeError, checked};

const SI_KERNEL: i32 = 0x80;
const CPUID: [u8; 2] = [0x0f, 0xa2];
const INT3: u8 = 0xcc;
const PAGE: u64 = 4096;

/// Addresses of patched cpuid instructions.
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
            let patched = sites.contains(site) && process.bytes(site, 2).is_ok_and(|code| code == [INT3, CPUID[1]]);
            patched.then_some(Trapped { instruction: Instruction::Cpuid, site, len: 2 })
        }
        _ => None,
    }
}

/// The time-stamp counter of this processor.
#[must_use]
pub fn tsc() -> u64 {
    cpu::rdtsc()
}

/// Executes a trapped instruction here and records the answer. `tsc_offset` is added to the counter, which is never answered
/// below `seen`.
#[must_use]
pub fn answer(trapped: Trapped, regs: &Registers, tsc_offset: u64, seen: u64) -> Record {
    let split = |tsc: u64| {
        let tsc = tsc.wrapping_add(tsc_offset).max(seen);
        (tsc & 0xffff_ffff, tsc >> 32)
    };
    let [rax, rbx, rcx, rdx] = match trapped.instruction {
        Instruction::Rdtsc => {
            let (low, high) = split(cpu::rdtsc());
            [low, regs.rbx, regs.rcx, high]
        }
        Instruction::Rdtscp => {
            let (tsc, aux) = cpu::rdtscp();
            let (low, high) = split(tsc);
            [low, regs.rbx, aux.into(), high]
        }
        Instruction::Cpuid => {
            let (leaf, subleaf) = (abi::uint(regs.rax), abi::uint(regs.rcx));
            without_hidden(leaf, subleaf, cpu::cpuid(leaf, subleaf)).map(u64::from)
        }
    };
    let args = [trapped.site, rax, rbx, rcx, rdx];
    let mut record = Record::new(Kind::Instruction, trapped.instruction as u16, 0).with_args(&args);
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
/// without them. RDRAND; HLE, RTM, RDSEED; RDPID; RDPRU (Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E).
const HIDDEN: [(u32, u32, usize, u32); 7] =
    [(1, 0, 2, 30), (7, 0, 1, 4), (7, 0, 1, 11), (7, 0, 1, 18), (7, 0, 2, 22), (0xd, 1, 0, 1), (0x8000_0008, 0, 1, 4)];

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
    regs.rax = record.arg(1);
    regs.rbx = record.arg(2);
    regs.rcx = record.arg(3);
    regs.rdx = record.arg(4);
    regs
}

/// Finds the cpuid instructions in code that is loaded at `base`.
#[must_use]
pub fn cpuid_sites(code: &[u8], base: u64) -> Vec<u64> {
    let candidates: BTreeSet<u64> =
        code.windows(2).enumerate().filter(|(_, w)| *w == CPUID).map(|(at, _)| base + at as u64).collect();
    if candidates.is_empty() {
        return Vec::new();
    }
    let mut decoder = Decoder::with_ip(64, code, base, DecoderOptions::NONE);
    let mut instruction = iced_x86::Instruction::default();
    let mut sites = Vec::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.code() == Code::Cpuid && candidates.contains(&instruction.ip()) {
            sites.push(instruction.ip());
        }
    }
    sites
}

/// Patches the cpuid instructions in an area; the record says where.
///
/// # Errors
/// When the area cannot be written.
pub fn patch(stopped: &Stopped, start: u64, len: u64) -> Result<Record, TraceeError> {
    let mut record = Record::new(Kind::Patch, 0, 0);
    let mut code = Vec::new();
    let end = start + len.next_multiple_of(PAGE);
    for page in (start..end).step_by(abi::size(PAGE)) {
        // Pages beyond the end of the file cannot be read: no code there.
        let Ok(bytes) = stopped.bytes(page, abi::size(PAGE)) else { break };
        code.extend(bytes);
    }
    for site in cpuid_sites(&code, start) {
        stopped.write(site, &[INT3])?;
        record.segments.push(Segment { address: site, role: SegmentRole::Out, arg: 0, bytes: vec![INT3] });
    }
    Ok(record)
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
    fn only_bytes_that_are_an_instruction_count_as_cpuid() {
        // mov eax, 0x0000a20f contains the bytes of cpuid; the cpuid behind it is one.
        let code = [0xb8, 0x0f, 0xa2, 0x00, 0x00, 0x0f, 0xa2, 0xc3];
        assert_eq!(cpuid_sites(&code, 0x1000), [0x1005]);
    }
}

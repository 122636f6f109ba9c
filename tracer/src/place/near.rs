//! The recording side: a position near to where the server was found.
//!
//! A position is cheap to come to when its instruction can be replaced by a jump, and when the registers and a few words of
//! memory tell it from the other times that the server comes by. So the server is taken on some instructions from where it was found:
//! that shows which memory it is writing, and which instructions it comes by often.

use std::collections::{BTreeMap, BTreeSet};

use common::abi;
use common::position::{MAX_WORDS, Position};
use common::syscall::Memory;
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register};

use super::PlaceError;
use super::state;
use super::stub;
use crate::inject::Held;
use crate::interceptor;
use crate::interceptor::patches::{Patches, SHORT, jumps_into};
use crate::signals;
use crate::sys::ptrace::Resume;
use crate::ticks::TickSource;
use crate::tracee::{Event, Registers, Stopped, TraceeError};

/// Instructions that are looked at before a place is chosen.
const WINDOW: u32 = 160;
/// Instructions behind those within which the place is.
const CHOICE: u32 = 96;
/// Bytes of the longest instruction.
const LONGEST: usize = 15;
/// si_code of a single step (TRAP_TRACE) and of a hardware breakpoint (TRAP_HWBKPT).
pub(crate) const TRAP_TRACE: i32 = 2;
pub(super) const TRAP_BREAKPOINT: i32 = 4;

/// What came of it.
#[derive(Debug)]
pub enum Found {
    /// The process stands at this position.
    Here(Stopped, Box<Position>),
    /// It is about to make a call, or an instruction that only it may make: no place, but one comes soon.
    Not(Stopped),
    /// Something happened on the way.
    Event(Event),
}

/// What an instruction is to somebody who takes the process on step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Plain,
    /// A string instruction that repeats: one instruction, many steps.
    Repeats,
    /// It must not be stepped over: a call is near, or it would show that it was stepped.
    Stop,
}

#[derive(Debug, Clone)]
struct Known {
    instruction: Instruction,
    nature: Nature,
    /// The instructions behind it that a jump in its place would replace as well; `None` when there can be none.
    replaced: Option<Vec<u64>>,
    times: u32,
    /// The server came to it by a jump.
    is_target: bool,
}

fn nature(instruction: &Instruction) -> Nature {
    let leads_to_us = instruction.flow_control() == FlowControl::UnconditionalBranch
        && interceptor::is_own(instruction.near_branch_target(), instruction.near_branch_target() + 1);
    let stops = match instruction.flow_control() {
        FlowControl::Interrupt | FlowControl::Exception | FlowControl::XbeginXabortXend => true,
        // syscall and sysenter count as calls.
        FlowControl::Call => !is_plain_call(instruction),
        _ => leads_to_us,
    };
    // The trap flag would be pushed, or popped.
    let shows = matches!(
        instruction.code(),
        Code::Pushfw
            | Code::Pushfd
            | Code::Pushfq
            | Code::Popfw
            | Code::Popfd
            | Code::Popfq
            | Code::Iretw
            | Code::Iretd
            | Code::Iretq
            | Code::Rdtsc
            | Code::Rdtscp
            | Code::Cpuid
            | Code::Xsave_mem
            | Code::INVALID
    );
    let repeats =
        instruction.is_string_instruction() && (instruction.has_rep_prefix() || instruction.has_repne_prefix());
    match () {
        () if stops || shows => Nature::Stop,
        () if repeats => Nature::Repeats,
        () => Nature::Plain,
    }
}

/// Whether it is neither a call nor one that shows where it stands.
pub(super) fn is_plain(instruction: &Instruction) -> bool {
    nature(instruction) == Nature::Plain
}

fn is_plain_call(instruction: &Instruction) -> bool {
    !matches!(instruction.code(), Code::Syscall | Code::Sysenter)
}

/// Whether an instruction that must not be stepped over is none that leads to a call: the server can stand before it.
fn is_no_call(instruction: &Instruction, patches: Option<&Patches>) -> bool {
    // A breakpoint may be an instruction that is patched to trap.
    instruction.flow_control() == FlowControl::Next
        || instruction.code() == Code::Int3
        || patches.is_some_and(|patches| patches.is_counter(instruction.ip()))
}

/// The instruction at `rip`.
pub(crate) fn decode(memory: &dyn Memory, rip: u64) -> Option<(Instruction, Vec<u8>)> {
    // The page behind it may not be there.
    let bytes = (1..=LONGEST).rev().find_map(|len| memory.bytes(rip, len).ok())?;
    let instruction = Decoder::with_ip(64, &bytes, rip, DecoderOptions::NONE).decode();
    let code = bytes.get(..instruction.len())?.to_vec();
    (!instruction.is_invalid()).then_some((instruction, code))
}

/// The value of a register, for an address.
pub(crate) fn value(register: Register, regs: &Registers) -> Option<u64> {
    let full = match register.full_register() {
        Register::RAX => regs.rax,
        Register::RBX => regs.rbx,
        Register::RCX => regs.rcx,
        Register::RDX => regs.rdx,
        Register::RSI => regs.rsi,
        Register::RDI => regs.rdi,
        Register::RBP => regs.rbp,
        Register::RSP => regs.rsp,
        Register::R8 => regs.r8,
        Register::R9 => regs.r9,
        Register::R10 => regs.r10,
        Register::R11 => regs.r11,
        Register::R12 => regs.r12,
        Register::R13 => regs.r13,
        Register::R14 => regs.r14,
        Register::R15 => regs.r15,
        _ => {
            return match register {
                Register::FS => Some(regs.fs_base),
                Register::GS => Some(regs.gs_base),
                Register::ES | Register::CS | Register::SS | Register::DS => Some(0),
                // Vectors, in a scatter.
                _ => None,
            };
        }
    };
    Some(if register.size() == 4 { full & 0xffff_ffff } else { full })
}

/// Notes the words that an instruction is about to write.
fn note_writes(
    factory: &mut InstructionInfoFactory,
    at: &Instruction,
    regs: &Registers,
    words: &mut BTreeMap<u64, u32>,
    now: u32,
) {
    for memory in factory.info(at).used_memory() {
        let writes = matches!(
            memory.access(),
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        );
        let address = memory.virtual_address(0, |register, _, _| value(register, regs));
        let Some(address) = address.filter(|_| writes) else { continue };
        let len = (memory.memory_size().size() as u64).clamp(1, 64);
        for word in (address & !7..address.saturating_add(len)).step_by(8) {
            words.insert(word, now);
        }
    }
}

/// Whether a short jump near to `rip`, or what looks like one, leads to one of these.
fn may_jump_to(memory: &dyn Memory, rip: u64, targets: &[u64]) -> bool {
    let (Some(first), Some(last)) = (targets.first(), targets.last()) else { return false };
    let from = rip.saturating_sub(SHORT);
    let Ok(code) = memory.bytes(from, abi::size(rip + SHORT - from)) else { return true };
    jumps_into(&code, from, first - 1, last + 1)
}

/// Whether a jump can replace it, and nobody jumps to what that would replace behind it: each time would stop a replica.
fn is_patchable(here: &Known, known: &BTreeMap<u64, Known>) -> bool {
    let is_target = |at: &u64| known.get(at).is_some_and(|it| it.is_target);
    here.replaced.as_ref().is_some_and(|replaced| !replaced.iter().any(is_target))
}

/// Takes a process on that was found in its own code, or on the way back to it from where an rdtsc of `patches` was answered, to a position that
/// a replica can come to. Signals that come on the way are kept in `arrived`, and what is executed is counted by `ticks`.
///
/// # Errors
/// When the process is gone.
pub fn find(
    mut stopped: Stopped,
    patches: Option<&Patches>,
    mut ticks: Option<&mut (dyn TickSource + '_)>,
    arrived: &mut Vec<Held>,
) -> Result<Found, PlaceError> {
    let mut factory = InstructionInfoFactory::new();
    let mut known: BTreeMap<u64, Known> = BTreeMap::new();
    let mut words = BTreeMap::new();
    let mut chosen = u32::MAX;
    let mut follows = 0;
    for now in 0..WINDOW + CHOICE {
        let regs = stopped.registers()?;
        let is_back = !interceptor::is_own(regs.rip, regs.rip + 1);
        if !is_back && !patches.is_some_and(|patches| patches.is_behind_counter(regs.rip)) {
            return Ok(Found::Not(stopped));
        }
        let here = match known.get_mut(&regs.rip) {
            Some(here) => {
                here.times += 1;
                here.is_target |= regs.rip != follows;
                here.clone()
            }
            None => {
                let Some((instruction, _)) = decode(&stopped, regs.rip) else { return Ok(Found::Not(stopped)) };
                let nature = nature(&instruction);
                let run = if nature == Nature::Plain { stub::run_at(&stopped, regs.rip) } else { None };
                let replaced = run.map(|pieces| stub::behind(&pieces).collect::<Vec<u64>>());
                let replaced = replaced.filter(|behind| !may_jump_to(&stopped, regs.rip, behind));
                let here = Known { instruction, nature, replaced, times: 1, is_target: regs.rip != follows };
                known.insert(regs.rip, here.clone());
                here
            }
        };
        if now == WINDOW {
            // The rarest that can be replaced; another one will do when it does not come.
            chosen = known.values().filter(|it| is_patchable(it, &known)).map(|it| it.times).min().unwrap_or(0);
        }
        let rest = WINDOW + CHOICE - now;
        let is_place =
            is_back && now >= WINDOW && is_patchable(&here, &known) && (here.times <= chosen + 1 || rest < CHOICE / 2);
        if is_place && now > 0 {
            break;
        }
        follows = here.instruction.next_ip();
        match here.nature {
            // Where only this instruction is, at the latest where it was found and one step has been made.
            Nature::Stop if now > 0 && is_back && is_no_call(&here.instruction, patches) => break,
            Nature::Stop => return Ok(Found::Not(stopped)),
            Nature::Repeats => {
                let next = here.instruction.next_ip();
                stopped.set_breakpoint(Some(next))?;
                let onward = |stopped: Stopped| stopped.run(Resume::Continue, 0);
                let event = run_to_trap(stopped, onward, TRAP_BREAKPOINT, arrived)?;
                if let Ok(stopped) | Err(Event::Signal(stopped, _) | Event::Seccomp(stopped)) = &event {
                    stopped.set_breakpoint(None)?;
                }
                stopped = match event {
                    Ok(stopped) => stopped,
                    Err(event) => return Ok(Found::Event(event)),
                };
            }
            Nature::Plain => {
                note_writes(&mut factory, &here.instruction, &regs, &mut words, now);
                let step = |stopped: Stopped| match &mut ticks {
                    Some(ticks) => ticks.step(stopped),
                    None => stopped.run(Resume::Step, 0),
                };
                stopped = match run_to_trap(stopped, step, TRAP_TRACE, arrived)? {
                    Ok(stopped) => stopped,
                    Err(event) => return Ok(Found::Event(event)),
                };
            }
        }
    }
    let regs = state::undebugged(&stopped.registers()?);
    stopped.set_registers(&regs)?;
    let mut latest: Vec<(u32, u64)> = words.iter().map(|(&word, &when)| (when, word)).collect();
    latest.sort_unstable_by(|one, other| other.cmp(one));
    let words: BTreeSet<u64> = latest.into_iter().take(MAX_WORDS).map(|(_, word)| word).collect();
    let words: Vec<u64> = words.into_iter().collect();
    let position = state::position(&stopped, &regs, &words)?;
    Ok(Found::Here(stopped, Box::new(position)))
}

/// Lets a process go on to a debug trap of this kind; another event that comes instead.
fn run_to_trap(
    mut stopped: Stopped,
    mut on: impl FnMut(Stopped) -> Result<Event, TraceeError>,
    code: i32,
    arrived: &mut Vec<Held>,
) -> Result<Result<Stopped, Event>, PlaceError> {
    loop {
        let (found, signal) = match on(stopped)? {
            Event::Signal(stopped, signal) => (stopped, signal),
            other => return Ok(Err(other)),
        };
        let info = found.siginfo()?;
        if signals::is_fault(signal, &info) {
            let is_it = signal == libc::SIGTRAP && signals::code(&info) == code;
            return Ok(if is_it { Ok(found) } else { Err(Event::Signal(found, signal)) });
        }
        // What becomes of it is for the caller to say.
        arrived.push(Held { signal, info });
        stopped = found;
    }
}

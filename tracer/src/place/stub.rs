//! Code that looks for a position in the server's own process: a jump in place of the position's instruction leads to it.
//!
//! It compares the general registers and the words of memory, one by one and without touching the flags, and goes on with the
//! replaced instruction at the first that differs, in about a nanosecond. Where all agree it stops.

use common::position::Position;
use common::syscall::Memory;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

use super::near;
use crate::inject;
use crate::interceptor;
use crate::interceptor::layout::{HIGH, LOW, MIDDLE, STUB_LEN, TRAMPOLINES_LEN};

/// Bytes of the jump that replaces the instructions.
const JUMP_LEN: usize = 5;
/// Where stubs can be: above what no process may map, below the stack and its room to grow.
const LOWEST: u64 = 0x100_0000;
const HIGHEST: u64 = 0x7fff_e000_0000;
const JMP: u8 = 0xe9;
const INT3: u8 = 0xcc;
const RAX: u8 = 0;
const RCX: u8 = 1;
const RSP: u8 = 4;
/// Registers by the processor's numbers, as they stand in a position; the four that it numbers otherwise come first there.
const NUMBERS: [u8; 16] = [0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15];
/// Where rcx and rax are kept meanwhile: the end of ftrun's scratch area.
const SAVED_RCX: u64 = inject::SCRATCH + inject::SCRATCH_LEN as u64 - 16;
const SAVED_RAX: u64 = SAVED_RCX + 8;

/// An instruction that a jump replaces.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    instruction: Instruction,
    code: Vec<u8>,
}

/// The instructions that a jump at `rip` replaces, if they are the same elsewhere.
///
/// Another jump may lead to one behind the first: there the jump's own bytes are `int3`, which [`place`] sees to.
pub(super) fn run_at(memory: &dyn Memory, rip: u64) -> Option<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = rip;
    while at < rip + JUMP_LEN as u64 {
        let (instruction, code) = near::decode(memory, at)?;
        let ends = pieces.last().is_some_and(|last| last.instruction.flow_control() != FlowControl::Next);
        if ends || !can_move(&instruction) {
            return None;
        }
        at += code.len() as u64;
        pieces.push(Piece { instruction, code });
    }
    let is_within_reach = places(rip, &pieces).next().is_some();
    is_within_reach.then_some(pieces)
}

fn can_move(instruction: &Instruction) -> bool {
    match instruction.flow_control() {
        FlowControl::Next => near::is_plain(instruction),
        // jcc and jmp; loop and jrcxz reach no further than 128 bytes.
        FlowControl::ConditionalBranch => instruction.is_jcc_short_or_near(),
        FlowControl::UnconditionalBranch => instruction.is_jmp_short_or_near() && near::is_plain(instruction),
        _ => false,
    }
}

/// Where a stub for these instructions can stand, which is free or ftrun's own.
fn places(rip: u64, pieces: &[Piece]) -> impl Iterator<Item = u64> {
    // Nothing of it is further than this from its beginning or from the instruction.
    const REACH: u64 = (1 << 31) - 2 * STUB_LEN;
    let mut fixed = [false; 4];
    for boundary in boundaries(pieces).filter(|boundary| (1..JUMP_LEN).contains(boundary)) {
        fixed[boundary - 1] = true;
    }
    let own = [LOW, MIDDLE, HIGH].into_iter().map(|area| area + TRAMPOLINES_LEN - STUB_LEN);
    let own = own.filter(move |_| fixed == [false; 4]);
    // Those bytes of the jump's offset that are int3, and any others.
    let high = if fixed[3] { INT3..=INT3 } else { 0..=u8::MAX };
    let elsewhere = high.map(move |high| {
        let byte = |at: usize| if fixed[at] { INT3 } else { 0 };
        let offset = i32::from_le_bytes([byte(0), byte(1), byte(2), high]);
        (rip + JUMP_LEN as u64).wrapping_add_signed(offset.into())
    });
    let elsewhere = elsewhere.filter(|at| *at >= LOWEST && *at < HIGHEST);
    own.chain(elsewhere).filter(move |at| at.abs_diff(rip) < REACH)
}

/// Addresses of the instructions behind the first.
pub(super) fn behind(pieces: &[Piece]) -> impl Iterator<Item = u64> {
    pieces.iter().skip(1).map(|piece| piece.instruction.ip())
}

/// Offsets of the ends of the instructions.
fn boundaries(pieces: &[Piece]) -> impl Iterator<Item = usize> {
    pieces.iter().scan(0, |end, piece| {
        *end += piece.code.len();
        Some(*end)
    })
}

/// The bytes of an instruction for another address: what it addresses or jumps to relative to itself stays the same.
fn relocated(piece: &Piece, to: u64) -> Option<Vec<u8>> {
    let Piece { instruction, code } = piece;
    let mut bytes = code.clone();
    match instruction.flow_control() {
        FlowControl::ConditionalBranch => {
            // 0F 80 to 0F 8F, in the order of the short forms 70 to 7F.
            let condition = u8::try_from(instruction.condition_code() as u32).ok()?.checked_sub(1)?;
            bytes = vec![0x0f, 0x80 | condition];
            bytes.extend(relative(to + 6, instruction.near_branch_target())?);
        }
        FlowControl::UnconditionalBranch => {
            bytes = vec![JMP];
            bytes.extend(relative(to + 5, instruction.near_branch_target())?);
        }
        _ if instruction.is_ip_rel_memory_operand() => {
            let mut decoder = Decoder::with_ip(64, code, instruction.ip(), DecoderOptions::NONE);
            let again = decoder.decode();
            let offsets = decoder.get_constant_offsets(&again);
            let at = offsets.displacement_offset();
            let displacement = relative(to + code.len() as u64, instruction.ip_rel_memory_address());
            let displacement = displacement.filter(|_| offsets.displacement_size() == 4)?;
            bytes.get_mut(at..at + 4)?.copy_from_slice(&displacement);
        }
        _ => {}
    }
    Some(bytes)
}

fn relative(from: u64, to: u64) -> Option<[u8; 4]> {
    i32::try_from(to.cast_signed().wrapping_sub(from.cast_signed())).ok().map(i32::to_le_bytes)
}

/// A stub, and where it matters.
#[derive(Debug)]
pub(super) struct Stub {
    /// Where it stands.
    pub(super) at: u64,
    /// Its code.
    pub(super) code: Vec<u8>,
    /// What leads to it, in place of the instructions.
    pub(super) jump: Vec<u8>,
    /// Behind the instruction that it stops with.
    pub(super) found: u64,
    /// Where the replaced instructions were, and where they are.
    pub(super) moved: Vec<(u64, u64)>,
}

impl Stub {
    /// Where the memory is that it needs: whole pages. `None` where it is ftrun's own.
    pub(super) fn pages(&self) -> Option<(u64, u64)> {
        let (start, end) = (self.at & !0xfff, (self.at + STUB_LEN).next_multiple_of(0x1000));
        (!interceptor::is_own(start, end)).then_some((start, end))
    }

    /// Whether it can take the place of another one.
    pub(super) fn fits(&self, other: &Self) -> bool {
        self.at == other.at && self.jump == other.jump
    }

    /// Where a process goes on that has come to `rip`, which the jump or the stub has taken from it.
    pub(super) fn on_from(&self, rip: u64) -> Option<u64> {
        // It has run into the int3 at a replaced instruction.
        self.moved.iter().skip(1).find(|(was, _)| was + 1 == rip).map(|(_, is)| *is)
    }

    /// Where a process stands that is within the stub, as the server knows it.
    pub(super) fn known_as(&self, rip: u64) -> Option<u64> {
        let within = (self.at..self.at + self.code.len() as u64).contains(&rip);
        let moved = self.moved.iter().find(|(_, is)| *is == rip).or(self.moved.first());
        moved.filter(|_| within).map(|(was, _)| *was)
    }
}

/// Writes code whose address is known.
struct Assembler {
    at: u64,
    code: Vec<u8>,
    /// Positions of 32-bit offsets that lead to a label that comes later.
    open: Vec<usize>,
}

impl Assembler {
    fn here(&self) -> u64 {
        self.at + self.code.len() as u64
    }

    fn put(&mut self, bytes: &[u8]) {
        self.code.extend_from_slice(bytes);
    }

    /// `mov` between rax or rcx and a word at a low address.
    fn keep(&mut self, opcode: u8, register: u8, address: u64) -> Option<()> {
        self.put(&[0x48, opcode, register << 3 | 4, 0x25]);
        let address = u32::try_from(address).ok().filter(|address| i32::try_from(*address).is_ok())?;
        self.put(&address.to_le_bytes());
        Some(())
    }

    /// Goes on here only if `register` has this value; rcx is lost.
    fn only_if(&mut self, register: u8, value: u64) {
        // movabs $-value,%rcx
        self.put(&[0x48, 0xb9]);
        self.put(&value.wrapping_neg().to_le_bytes());
        // lea (%rcx,%register),%rcx
        let high = register >> 3;
        let (index, base) = if register == RSP { (RCX, RSP) } else { (register & 7, RCX) };
        self.put(&[0x48 | high << 1, 0x8d, 0x0c, index << 3 | base]);
        // jrcxz over the jump.
        self.put(&[0xe3, 5, JMP]);
        self.open.push(self.code.len());
        self.put(&[0; 4]);
    }

    /// All jumps that are open lead here.
    fn label(&mut self) {
        let here = self.code.len();
        for at in std::mem::take(&mut self.open) {
            let offset = i32::try_from(here - at - 4).unwrap_or(0);
            self.code[at..at + 4].copy_from_slice(&offset.to_le_bytes());
        }
    }
}

/// The stub for a position whose instructions these are; `is_free` says whether memory can be had there. `None` where there can be none.
pub(super) fn build(position: &Position, pieces: &[Piece], is_free: impl Fn(u64, u64) -> bool) -> Option<Stub> {
    places(position.rip(), pieces).filter_map(|at| build_at(position, pieces, at)).find(|stub| {
        let needs = stub.pages();
        needs.is_none_or(|(start, end)| is_free(start, end))
    })
}

pub(super) fn build_at(position: &Position, pieces: &[Piece], at: u64) -> Option<Stub> {
    const STORE: u8 = 0x89;
    const LOAD: u8 = 0x8b;
    let rip = position.rip();
    let mut assembler = Assembler { at, code: Vec::new(), open: Vec::new() };
    assembler.keep(STORE, RCX, SAVED_RCX)?;
    for (number, value) in NUMBERS.into_iter().zip(position.registers) {
        if number != RCX {
            assembler.only_if(number, value);
        }
    }
    // From here on rax is needed as well.
    let without_rax = std::mem::take(&mut assembler.open);
    assembler.keep(STORE, RAX, SAVED_RAX)?;
    assembler.keep(LOAD, RAX, SAVED_RCX)?;
    assembler.only_if(RAX, position.registers[2]);
    for (address, content) in &position.words {
        // movabs address,%rax
        assembler.put(&[0x48, 0xa1]);
        assembler.put(&address.to_le_bytes());
        assembler.only_if(RAX, *content);
    }
    assembler.keep(LOAD, RAX, SAVED_RAX)?;
    assembler.keep(LOAD, RCX, SAVED_RCX)?;
    assembler.put(&[INT3]);
    let found = assembler.here();
    assembler.label();
    assembler.keep(LOAD, RAX, SAVED_RAX)?;
    assembler.open = without_rax;
    assembler.label();
    assembler.keep(LOAD, RCX, SAVED_RCX)?;
    let mut moved = Vec::new();
    for piece in pieces {
        moved.push((piece.instruction.ip(), assembler.here()));
        let bytes = relocated(piece, assembler.here())?;
        assembler.put(&bytes);
    }
    let len = boundaries(pieces).last()?;
    assembler.put(&[JMP]);
    let back = relative(assembler.here() + 4, rip + len as u64)?;
    assembler.put(&back);
    let mut jump = vec![JMP];
    jump.extend(relative(rip + JUMP_LEN as u64, at)?);
    jump.resize(len, INT3);
    (assembler.code.len() as u64 <= STUB_LEN).then_some(Stub { at, code: assembler.code, jump, found, moved })
}

//! The interceptor's code, and the places in it that the tracer knows.

use common::abi::u64_at;

use super::layout::{CODE, CODE_LEN};
use crate::tracee::Registers;

/// The image, for address [`CODE`].
pub static IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/interceptor.bin"));

/// Addresses from the table at the beginning of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Where trampolines go to.
    pub entry: u64,
    /// Gives the call up: it is made outside. From anywhere before it has been made.
    pub abandon: u64,
    /// The instruction behind the comparison with the flag of held signals.
    pub check: u64,
    /// The `syscall`.
    pub call: u64,
    /// The instruction behind it.
    pub behind: u64,
    /// Where the server's registers are while the interceptor runs.
    pub frame: u64,
    /// Where trampolines of rdtsc and rdtscp go to.
    pub tsc_entry: u64,
}

/// The places of this build.
#[must_use]
pub fn places() -> Places {
    let word = |index: usize| u64_at(IMAGE, 8 * index);
    Places {
        entry: word(0),
        abandon: word(1),
        check: word(2),
        call: word(3),
        behind: word(4),
        frame: word(5),
        tsc_entry: word(6),
    }
}

/// Whether an instruction is the interceptor's.
#[must_use]
pub fn contains(rip: u64) -> bool {
    (CODE..CODE + CODE_LEN).contains(&rip)
}

/// The word of the image that holds [`Places::tsc_entry`], where trampolines find it.
pub const TSC_ENTRY: u64 = CODE + 48;

/// Bytes of the frame.
pub const FRAME_LEN: usize = 160;

/// Where a trampoline puts rcx, from the frame's beginning.
pub const FRAME_RCX: u64 = 128;

/// The server's registers, from the frame: as they were before its call or instruction, but behind it. `here` are those in the interceptor.
#[must_use]
pub fn registers_of(frame: &[u8], here: &Registers) -> Registers {
    let word = |index: usize| u64_at(frame, 8 * index);
    let mut regs = *here;
    [regs.rax, regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9] = std::array::from_fn(word);
    [regs.rbx, regs.rbp, regs.r12, regs.r13, regs.r14, regs.r15] = std::array::from_fn(|index| word(7 + index));
    regs.rcx = word(13);
    regs.eflags = word(14);
    regs.r11 = word(14);
    regs.rsp = word(15);
    let instruction_len = word(18);
    if instruction_len == 0 {
        // Behind the `syscall` of its own that the trampoline has.
        regs.rip = regs.rcx;
        return regs;
    }
    regs.rip = regs.rcx.wrapping_add(instruction_len);
    [regs.rcx, regs.r11] = [word(16), word(17)];
    regs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_knows_its_places() {
        let places = places();
        for at in [places.entry, places.abandon, places.check, places.call, places.behind, places.tsc_entry] {
            assert!(contains(at), "{places:x?}");
        }
        let at = usize::try_from(places.call - CODE).unwrap();
        assert_eq!(IMAGE[at..at + 2], [0x0f, 0x05], "the call is a syscall instruction");
        assert_eq!(places.behind, places.call + 2);
        assert_eq!(u64_at(IMAGE, usize::try_from(TSC_ENTRY - CODE).unwrap()), places.tsc_entry);
        assert_eq!(IMAGE.windows(2).filter(|w| *w == [0x0f, 0x05]).count(), 1, "and the only one");
    }
}

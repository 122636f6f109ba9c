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
}

/// The places of this build.
#[must_use]
pub fn places() -> Places {
    let word = |index: usize| u64_at(IMAGE, 8 * index);
    Places { entry: word(0), abandon: word(1), check: word(2), call: word(3), behind: word(4), frame: word(5) }
}

/// Whether an instruction is the interceptor's.
#[must_use]
pub fn contains(rip: u64) -> bool {
    (CODE..CODE + CODE_LEN).contains(&rip)
}

/// Bytes of the frame.
pub const FRAME_LEN: usize = 128;

/// The server's registers, from the frame: as they were before its call, but at `rip`. `here` are those in the interceptor.
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
    // Behind the `syscall` of its own that the trampoline has.
    regs.rip = regs.rcx;
    regs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_knows_its_places() {
        let places = places();
        for at in [places.entry, places.abandon, places.check, places.call, places.behind] {
            assert!(contains(at), "{places:x?}");
        }
        let at = usize::try_from(places.call - CODE).unwrap();
        assert_eq!(IMAGE[at..at + 2], [0x0f, 0x05], "the call is a syscall instruction");
        assert_eq!(places.behind, places.call + 2);
        assert_eq!(IMAGE.windows(2).filter(|w| *w == [0x0f, 0x05]).count(), 1, "and the only one");
    }
}

//! XSAVE, carried out by the tracer: of a component that has its initial values the processor says now that it is in use and now
//! that it is not, and both end up in the server's memory. Here all that are asked for are said to be in use.
//!
//! Sources: Intel SDM volume 1, 13.4 (the save area), 13.7 (XSAVE). The kernel gives a process's extended state in the same
//! layout, with the initial values of components that are not in use.

use std::ops::Range;

use crate::sys::cpu;

/// XSAVE needs its operand aligned to so many bytes.
pub(super) const ALIGNMENT: u64 = 64;
/// Where the header is, and with it XSTATE_BV, which says what is in use.
pub(super) const IN_USE: u64 = 512;
/// Where the kernel says in the area of a process which components there are.
const COMPONENTS: Range<usize> = 464..472;
/// The x87 unit, without its last instruction and operand, of which some processors save the place only after an exception.
const X87: [Range<usize>; 2] = [0..6, 32..160];
const LAST_X87: Range<usize> = 6..24;
const MXCSR: Range<usize> = 24..32;
const XMM: Range<usize> = 160..416;

/// What the instruction stores.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Which components: bit i for component i.
    pub(super) components: u64,
    /// Bytes, and where they go in its operand.
    pub(super) pieces: Vec<(usize, Vec<u8>)>,
}

/// What it stores of a process with this extended state; `None` when that is no whole state.
pub(super) fn stored(state: &[u8], asked: u64) -> Option<Stored> {
    let there = u64::from_le_bytes(state.get(COMPONENTS)?.try_into().ok()?);
    let components = asked & there;
    let has = |bit: u32| components >> bit & 1 == 1;
    let mut ranges = Vec::new();
    if has(0) {
        ranges.extend(X87);
    }
    if has(1) || has(2) {
        ranges.push(MXCSR);
    }
    if has(1) {
        ranges.push(XMM);
    }
    for component in (2..63).filter(|&component| has(component)) {
        let [size, offset, ..] = cpu::cpuid(0xd, component).map(|word| word as usize);
        ranges.push(offset..offset + size);
    }
    let mut pieces = Vec::new();
    for range in ranges {
        pieces.push((range.start, state.get(range)?.to_vec()));
    }
    if has(0) {
        pieces.push((LAST_X87.start, vec![0; LAST_X87.len()]));
    }
    Some(Stored { components, pieces })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state in which each byte says where it stands.
    fn state(components: u64) -> Vec<u8> {
        let mut state: Vec<u8> = (0..=u8::MAX).cycle().map(|byte| byte | 1).take(16384).collect();
        state[COMPONENTS].copy_from_slice(&components.to_le_bytes());
        state
    }

    #[test]
    fn only_what_is_asked_for_and_there_is_stored() {
        let places = |asked, there| {
            let Stored { components, pieces } = stored(&state(there), asked).expect("a whole state");
            let places: Vec<_> = pieces.iter().map(|(at, bytes)| *at..at + bytes.len()).collect();
            (components, places)
        };
        assert_eq!(places(0, 7), (0, vec![]));
        assert_eq!(places(1, 7), (1, vec![0..6, 32..160, 6..24]));
        assert_eq!(places(2, 7), (2, vec![24..32, 160..416]));
        assert_eq!(places(u64::MAX, 3), (3, vec![0..6, 32..160, 24..32, 160..416, 6..24]));
    }

    #[test]
    fn the_last_x87_instruction_is_not() {
        let Stored { pieces, .. } = stored(&state(1), 1).expect("a whole state");
        for (at, bytes) in pieces {
            let zeros = LAST_X87.contains(&at);
            assert!(bytes.iter().all(|&byte| (byte == 0) == zeros), "the bytes at {at}");
        }
    }

    #[test]
    fn a_state_that_is_cut_is_none() {
        assert_eq!(stored(&state(1)[..100], 1), None);
        assert_eq!(stored(&[], 1), None);
    }
}

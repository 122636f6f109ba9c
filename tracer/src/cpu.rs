//! What this machine's processor offers, asked once.

use std::sync::OnceLock;

use common::cpu::{CpuFeatures, Leaf};

use crate::sys::cpu;

/// The leafs that tell features: 1, 7, 0xd, 0x19 and the extended ones.
const LEAFS: [(u32, u32); 10] = [
    (0x1, 0),
    (0x7, 0),
    (0x7, 1),
    (0xd, 0),
    (0xd, 1),
    (0x14, 0),
    (0x19, 0),
    (0x8000_0001, 0),
    (0x8000_0007, 0),
    (0x8000_0008, 0),
];

/// The features of the processor that this thread runs on.
#[must_use]
pub fn features() -> CpuFeatures {
    let [highest, b, c, d] = cpu::cpuid(0, 0);
    let vendor: Vec<u8> = [b, d, c].iter().flat_map(|word| word.to_le_bytes()).collect();
    let highest_extended = cpu::cpuid(0x8000_0000, 0)[0];
    let known = |leaf: u32| if leaf >= 0x8000_0000 { leaf <= highest_extended } else { leaf <= highest };
    let leafs = LEAFS
        .iter()
        .filter(|(leaf, _)| known(*leaf))
        .map(|&(leaf, subleaf)| Leaf { leaf, subleaf, registers: cpu::cpuid(leaf, subleaf) })
        .collect();
    let xsave_size = if known(0xd) { cpu::cpuid(0xd, 0)[1] } else { 0 };
    CpuFeatures::new(String::from_utf8_lossy(&vendor), leafs, cpu::xcr0(), xsave_size)
}

/// Where no component of extended state is in its layout of so many bytes (XSAVE, not compacted): behind the registers of the legacy area, and
/// between the `components` behind the header. Ascending.
#[must_use]
pub(crate) fn between_components(components: u64, len: u64) -> Vec<(u64, u64)> {
    static PLACES: OnceLock<Vec<(u32, u64, u64)>> = OnceLock::new();
    const STATE: u32 = 0xd;
    // An answer may cost an exit of a virtual machine.
    let places = PLACES.get_or_init(|| {
        let place = |component| {
            let [size, offset, ..] = cpu::cpuid(STATE, component);
            (component, u64::from(offset), u64::from(size))
        };
        (2..63).map(place).filter(|(_, _, size)| *size > 0).collect()
    });
    let there = |&&(component, ..): &&(u32, u64, u64)| components >> component & 1 != 0;
    gaps(places.iter().filter(there).map(|&(_, offset, size)| (offset, offset + size)).collect(), len)
}

fn gaps(mut taken: Vec<(u64, u64)>, len: u64) -> Vec<(u64, u64)> {
    // Intel SDM volume 1, 13.4.1: the last of the legacy registers; what software may have of that area; the end of the header.
    const REGISTERS_END: u64 = 416;
    const SOFTWARE: u64 = 464;
    const HEADER_END: u64 = 576;
    taken.sort_unstable();
    let mut gaps = vec![(REGISTERS_END, SOFTWARE)];
    let mut next = HEADER_END;
    for (start, end) in taken.into_iter().chain([(len, len)]) {
        if start.min(len) > next {
            gaps.push((next, start.min(len)));
        }
        next = next.max(end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_a_gap() {
        assert_eq!(gaps(vec![(576, 832)], 832), [(416, 464)]);
        assert_eq!(gaps(vec![(2688, 2696), (576, 832), (1088, 2688)], 2696), [(416, 464), (832, 1088)]);
        assert_eq!(gaps(vec![(576, 832), (1088, 1152)], 900), [(416, 464), (832, 900)]);
        assert_eq!(gaps(Vec::new(), 0), [(416, 464)]);
    }

    #[test]
    fn a_processor_lacks_nothing_that_it_has() {
        assert!(features().missing_from(&features()).is_empty());
    }
}

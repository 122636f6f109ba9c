//! What this machine's processor offers, asked once.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_lacks_nothing_that_it_has() {
        assert!(features().missing_from(&features()).is_empty());
    }
}

//! What a processor offers to a program, as a value that two replicas compare before they pair.
//!
//! A server that has seen a feature goes on using it after a failover, and the layout of a signal frame depends on the
//! extended state that the kernel saves: so a backup must offer every feature of the primary, and exactly its extended
//! state. The answers of `cpuid` come from outside (this crate executes nothing); those that differ from core to core of
//! one machine are masked when the value is made. Bits: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.

use serde::{Deserialize, Serialize};

/// One answer of `cpuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// EAX of the question.
    pub leaf: u32,
    /// ECX of the question.
    pub subleaf: u32,
    /// EAX, EBX, ECX, EDX of the answer.
    pub registers: [u32; 4],
}

/// What a processor and its kernel offer to a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFeatures {
    vendor: String,
    leafs: Vec<Leaf>,
    xcr0: u64,
    xsave_size: u32,
}

const EAX: usize = 0;
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

/// (leaf, register, bits) that differ between the cores of one machine: APIC ids, core and node ids, core types.
const PER_CORE: [(u32, usize, u32); 8] = [
    (0x1, EBX, 0xff00_0000),
    (0xb, EDX, u32::MAX),
    (0x1f, EDX, u32::MAX),
    (0x1a, EAX, u32::MAX),
    (0x8000_001e, EAX, u32::MAX),
    (0x8000_001e, EBX, u32::MAX),
    (0x8000_001e, ECX, u32::MAX),
    (0x8000_0026, EDX, u32::MAX),
];

/// (leaf, subleaf, register, names by bit) of what changes the instructions that a program may execute.
type Names = (u32, u32, usize, &'static [(u32, &'static str)]);

const NAMES: [Names; 10] = [
    (
        0x1,
        0,
        EDX,
        &[
            (0, "fpu"),
            (4, "tsc"),
            (8, "cx8"),
            (15, "cmov"),
            (19, "clflush"),
            (23, "mmx"),
            (24, "fxsr"),
            (25, "sse"),
            (26, "sse2"),
        ],
    ),
    (
        0x1,
        0,
        ECX,
        &[
            (0, "sse3"),
            (1, "pclmulqdq"),
            (9, "ssse3"),
            (12, "fma"),
            (13, "cx16"),
            (19, "sse4_1"),
            (20, "sse4_2"),
            (22, "movbe"),
            (23, "popcnt"),
            (25, "aes"),
            (26, "xsave"),
            (27, "osxsave"),
            (28, "avx"),
            (29, "f16c"),
            (30, "rdrand"),
        ],
    ),
    (
        0x7,
        0,
        EBX,
        &[
            (0, "fsgsbase"),
            (3, "bmi1"),
            (4, "hle"),
            (5, "avx2"),
            (8, "bmi2"),
            (9, "erms"),
            (11, "rtm"),
            (14, "mpx"),
            (16, "avx512f"),
            (17, "avx512dq"),
            (18, "rdseed"),
            (19, "adx"),
            (21, "avx512ifma"),
            (23, "clflushopt"),
            (24, "clwb"),
            (26, "avx512pf"),
            (27, "avx512er"),
            (28, "avx512cd"),
            (29, "sha"),
            (30, "avx512bw"),
            (31, "avx512vl"),
        ],
    ),
    (
        0x7,
        0,
        ECX,
        &[
            (1, "avx512vbmi"),
            (4, "ospke"),
            (5, "waitpkg"),
            (6, "avx512_vbmi2"),
            (7, "shstk"),
            (8, "gfni"),
            (9, "vaes"),
            (10, "vpclmulqdq"),
            (11, "avx512_vnni"),
            (12, "avx512_bitalg"),
            (14, "avx512_vpopcntdq"),
            (22, "rdpid"),
            (25, "cldemote"),
            (27, "movdiri"),
            (28, "movdir64b"),
        ],
    ),
    (
        0x7,
        0,
        EDX,
        &[
            (2, "avx512_4vnniw"),
            (3, "avx512_4fmaps"),
            (4, "fsrm"),
            (8, "avx512_vp2intersect"),
            (14, "serialize"),
            (22, "amx_bf16"),
            (23, "avx512_fp16"),
            (24, "amx_tile"),
            (25, "amx_int8"),
        ],
    ),
    (
        0x7,
        1,
        EAX,
        &[
            (0, "sha512"),
            (1, "sm3"),
            (2, "sm4"),
            (4, "avx_vnni"),
            (5, "avx512_bf16"),
            (7, "cmpccxadd"),
            (21, "amx_fp16"),
            (23, "avx_ifma"),
        ],
    ),
    (0xd, 1, EAX, &[(0, "xsaveopt"), (1, "xsavec"), (2, "xgetbv1"), (3, "xsaves")]),
    (
        0x8000_0001,
        0,
        ECX,
        &[
            (0, "lahf_lm"),
            (5, "lzcnt"),
            (6, "sse4a"),
            (7, "misalignsse"),
            (8, "prefetchw"),
            (11, "xop"),
            (15, "lwp"),
            (16, "fma4"),
            (21, "tbm"),
            (29, "monitorx"),
        ],
    ),
    (
        0x8000_0001,
        0,
        EDX,
        &[(11, "syscall"), (22, "mmxext"), (27, "rdtscp"), (29, "lm"), (30, "3dnowext"), (31, "3dnow")],
    ),
    (0x8000_0008, 0, EBX, &[(0, "clzero"), (4, "rdpru")]),
];

/// Components of the extended state by their bit in XCR0 (Intel SDM volume 1, 13.1).
const COMPONENTS: [&str; 20] = [
    "x87",
    "sse",
    "avx",
    "bndregs",
    "bndcsr",
    "opmask",
    "zmm_hi256",
    "hi16_zmm",
    "pt",
    "pkru",
    "pasid",
    "cet_u",
    "cet_s",
    "hdc",
    "uintr",
    "lbr",
    "hwp",
    "xtilecfg",
    "xtiledata",
    "apx",
];

impl CpuFeatures {
    /// From the answers of `cpuid` on any core, the enabled components (XCR0) and the size in bytes of the extended state
    /// that the kernel saves for them (leaf 0xd, subleaf 0, EBX). Answers that name the core are masked.
    #[must_use]
    pub fn new(vendor: impl Into<String>, mut leafs: Vec<Leaf>, xcr0: u64, xsave_size: u32) -> Self {
        for answer in &mut leafs {
            for (leaf, register, bits) in PER_CORE {
                if answer.leaf == leaf {
                    answer.registers[register] &= !bits;
                }
            }
        }
        Self { vendor: vendor.into(), leafs, xcr0, xsave_size }
    }

    /// Such as `GenuineIntel`.
    #[must_use]
    pub fn vendor(&self) -> &str {
        &self.vendor
    }

    /// The answers of `cpuid`, without what names the core.
    #[must_use]
    pub fn leafs(&self) -> &[Leaf] {
        &self.leafs
    }

    /// Enabled components of the extended state.
    #[must_use]
    pub fn xcr0(&self) -> u64 {
        self.xcr0
    }

    /// Size in bytes of the extended state that the kernel saves.
    #[must_use]
    pub fn xsave_size(&self) -> u32 {
        self.xsave_size
    }

    fn answer(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self.leafs.iter().find(|l| (l.leaf, l.subleaf) == (leaf, subleaf)).map_or([0; 4], |l| l.registers)
    }

    /// Names what `self`, the primary, has and `other`, the backup, lacks; empty when the backup can carry on. Another vendor
    /// counts (approximate reciprocals differ), and so does any difference of the extended state (signal frames differ).
    #[must_use]
    pub fn missing_from(&self, other: &Self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.vendor != other.vendor {
            missing.push(format!("vendor {} (found {})", self.vendor, other.vendor));
        }
        for (leaf, subleaf, register, names) in NAMES {
            let lost = self.answer(leaf, subleaf)[register] & !other.answer(leaf, subleaf)[register];
            missing.extend(names.iter().filter(|(bit, _)| lost >> bit & 1 == 1).map(|(_, name)| (*name).to_owned()));
        }
        for bit in 0..64 {
            if (self.xcr0 ^ other.xcr0) >> bit & 1 == 1 {
                let name = COMPONENTS.get(bit).map_or_else(|| format!("component {bit}"), |name| (*name).to_owned());
                let state = if self.xcr0 >> bit & 1 == 1 { "enabled" } else { "disabled" };
                missing.push(format!("extended state {name} {state}"));
            }
        }
        if self.xsave_size != other.xsave_size {
            missing.push(format!("extended state of {} bytes (found {})", self.xsave_size, other.xsave_size));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu() -> CpuFeatures {
        let leaf = |leaf, subleaf, registers| Leaf { leaf, subleaf, registers };
        let leafs = vec![
            leaf(1, 0, [0x50654, 0x0302_0800, 1 << 28 | 1 << 30, 1 << 25 | 1 << 26]),
            leaf(7, 0, [1, 1 << 5 | 1 << 16, 0, 0]),
            leaf(0xb, 0, [1, 2, 3, 7]),
        ];
        CpuFeatures::new("GenuineIntel", leafs, 0xe7, 2696)
    }

    #[test]
    fn a_processor_lacks_nothing_of_itself_nor_of_less() {
        let full = cpu();
        assert_eq!(full.missing_from(&full), Vec::<String>::new());
        let mut less = full.clone();
        less.leafs[1].registers[EBX] = 0;
        assert_eq!(less.missing_from(&full), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_is_named() {
        let primary = cpu();
        let mut backup = cpu();
        backup.vendor = "AuthenticAMD".to_owned();
        backup.leafs[0].registers[ECX] &= !(1 << 30);
        backup.leafs.remove(1);
        backup.xcr0 = 0x7;
        backup.xsave_size = 832;
        assert_eq!(
            primary.missing_from(&backup),
            [
                "vendor GenuineIntel (found AuthenticAMD)",
                "rdrand",
                "avx2",
                "avx512f",
                "extended state opmask enabled",
                "extended state zmm_hi256 enabled",
                "extended state hi16_zmm enabled",
                "extended state of 2696 bytes (found 832)",
            ]
        );
    }

    #[test]
    fn more_extended_state_than_the_primary_is_a_difference_too() {
        let mut backup = cpu();
        backup.xcr0 |= 1 << 9;
        assert_eq!(cpu().missing_from(&backup), ["extended state pkru disabled"]);
    }

    #[test]
    fn two_cores_of_one_machine_are_equal() {
        let other_core = |id: u32| {
            let mut leafs = cpu().leafs;
            leafs[0].registers[EBX] |= id << 24;
            leafs[2].registers[EDX] = id;
            CpuFeatures::new("GenuineIntel", leafs, 0xe7, 2696)
        };
        assert_eq!(other_core(1), other_core(9));
        assert_eq!(other_core(1).leafs[0].registers[EBX], 0x0002_0800);
    }
}

//! Snapshot manifests, also such that were forged with a sound hash.

use common::cpu::{CpuFeatures, Leaf};
use common::ids::Lsn;
use common::snapshot::{Area, CHUNK_LEN, Chunk, ContentHash, Layout, Manifest};
use proptest::prelude::*;

use crate::change::{apply, changes};
use crate::config;
use crate::meter::measured;

/// Bytes before the body, by docs/log-format.md.
const HEADER_LEN: usize = 60;

/// A manifest of a process whose memory is all zeros.
pub(crate) fn small(log_id: u64) -> Manifest {
    let area = |start: u64, chunks: u64, flags, name: &str| Area {
        start,
        end: start + chunks * CHUNK_LEN as u64,
        prot: 3,
        flags,
        name: name.to_owned(),
        chunks: (0..chunks).map(|_| Chunk::Zero).collect(),
    };
    let leaf = |leaf| Leaf { leaf, subleaf: 0, registers: [1, 2, 3, 4] };
    Manifest {
        log_id,
        lsn: Lsn(0),
        cpu: CpuFeatures::new("GenuineIntel", vec![leaf(1), leaf(7)], 7, 832),
        memory: vec![area(0x40_0000, 1, Area::PRIVATE, "/bin/server"), area(0x7ff0_0000, 3, Area::STACK, "[stack]")],
        registers: vec![1; 32],
        xstate: vec![2; 64],
        layout: Layout { brk: 0x50_1000, auxv: vec![3; 16], ..Layout::default() },
        limits: vec![(3, 8 << 20, u64::MAX)],
        kernel: vec![4; 10],
        command: vec!["server".to_owned(), "-p".to_owned()],
        cwd: "/srv".to_owned(),
    }
}

/// The header that fits a body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut out = small(1).encode().expect("it is sound")[..16].to_vec();
    out.extend((body.len() as u64).to_le_bytes());
    out.extend(ContentHash::of(body).0);
    out.extend(crc32fast::hash(&out).to_le_bytes());
    out.extend(body);
    out
}

/// It is refused, or encodes to the same bytes and can be asked for all of its memory.
fn canonical(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (manifest, peak) = measured(|| Manifest::decode(bytes));
    prop_assert!(peak <= (65 << 20) + 64 * bytes.len(), "{} bytes of memory for a manifest of {}", peak, bytes.len());
    if let Ok(manifest) = manifest {
        prop_assert_eq!(&manifest.encode().expect("what was decoded encodes")[..], bytes);
        for area in &manifest.memory {
            prop_assert_eq!(area.ranges().count(), area.chunks.len());
            prop_assert!(area.ranges().all(|(range, _)| range.start < range.end && range.end <= area.end));
        }
        prop_assert!(manifest.hashes().len() <= bytes.len() / 32);
    }
    Ok(())
}

#[test]
fn an_area_at_the_end_of_the_address_space_is_walked() {
    let mut manifest = small(1);
    let (start, end) = (u64::MAX - 0x1fff, u64::MAX - 0xfff);
    manifest.memory[1] = Area { start, end, chunks: vec![Chunk::Zero], ..manifest.memory[1].clone() };
    let manifest = Manifest::decode(&manifest.encode().unwrap()).unwrap();
    let ranges: Vec<_> = manifest.memory[1].ranges().collect();
    assert_eq!(ranges, [(start..end, &Chunk::Zero)]);
}

proptest! {
    #![proptest_config(config(15_000))]

    #[test]
    fn a_changed_manifest_is_refused_or_encodes_to_the_same(changes in changes(4), hash in any::<bool>()) {
        let mut bytes = small(1).encode().unwrap();
        if hash {
            let mut body = bytes.split_off(HEADER_LEN);
            apply(&mut body, &changes);
            bytes = sealed(&body);
        } else {
            apply(&mut bytes, &changes);
        }
        canonical(&bytes)?;
    }

    #[test]
    fn areas_anywhere_are_refused_or_walked(
        start in any::<u64>(), pages in prop_oneof![0..40u64, any::<u64>()], chunks in 0..5usize, flags in 0..9u32, end in any::<bool>(),
    ) {
        let mut manifest = small(1);
        let start = if end { (u64::MAX - start % (1 << 20)) & !4095 } else { start & !4095 };
        let end = start.saturating_add(pages.saturating_mul(4096)) & !4095;
        let chunk = Chunk::Hash(ContentHash::of(&[flags.to_le_bytes()[0]]));
        manifest.memory = vec![Area { start, end, prot: 0, flags, name: String::new(), chunks: vec![chunk; chunks] }];
        // Forged: `encode` refuses what `decode` does.
        canonical(&sealed(&common::codec::encode(&manifest).unwrap()))?;
    }
}

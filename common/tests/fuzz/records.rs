//! Records, as they stand in a frame.

use common::ids::Lsn;
use common::log::frame::Records;
use common::record::{Kind, Record, Segment, SegmentRole};
use proptest::prelude::*;

use crate::change::{apply, changes};
use crate::config;
use crate::meter::measured;

const ROLES: [SegmentRole; 12] = [
    SegmentRole::In,
    SegmentRole::Out,
    SegmentRole::Sent,
    SegmentRole::Peer,
    SegmentRole::Local,
    SegmentRole::Clock,
    SegmentRole::Path,
    SegmentRole::SigInfo,
    SegmentRole::Position,
    SegmentRole::Pages,
    SegmentRole::File,
    SegmentRole::Snapshot,
];
const KINDS: [Kind; 9] = [
    Kind::Call,
    Kind::Signal,
    Kind::Instruction,
    Kind::Epoch,
    Kind::Patch,
    Kind::Position,
    Kind::End,
    Kind::Memory,
    Kind::Exec,
];

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let segment = (prop_oneof![Just(0), any::<u64>()], prop::sample::select(&ROLES[..]), any::<u16>(), bytes)
        .prop_map(|(address, role, arg, bytes)| Segment { address, role, arg, bytes });
    let head = (prop::sample::select(&KINDS[..]), any::<u16>(), any::<i64>(), any::<u64>(), any::<bool>());
    (head, any::<[u64; 6]>(), 0..64u8, prop::collection::vec(segment, 0..4)).prop_map(
        |((kind, number, result, check, fast), args, logged, segments)| Record {
            check,
            fast: fast && kind == Kind::Call,
            segments,
            ..Record::new(kind, number, result).with_logged(&args, logged)
        },
    )
}

pub(crate) fn encoded(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    records.iter().for_each(|record| record.encode_into(&mut out));
    out
}

/// The records at the start of `bytes`; each of them encodes to the bytes where it was found.
pub(crate) fn canonical(bytes: &[u8]) -> Result<Vec<Record>, TestCaseError> {
    let mut records = Vec::new();
    let mut at = 0;
    for item in Records::new(Lsn(0), bytes) {
        let Ok((lsn, record)) = item else { return Ok(records) };
        prop_assert_eq!(lsn, Lsn(at as u64));
        let again = encoded(std::slice::from_ref(&record));
        prop_assert_eq!(&again[..], &bytes[at..at + again.len()]);
        at += again.len();
        records.push(record);
    }
    prop_assert_eq!(at, bytes.len(), "it ends without an error before the bytes do");
    Ok(records)
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn a_changed_run_of_records_is_refused_or_encodes_to_the_same(
        records in prop::collection::vec(record(), 1..5), changes in changes(4),
    ) {
        let mut bytes = encoded(&records);
        apply(&mut bytes, &changes);
        let found = canonical(&bytes)?;
        if changes.is_empty() {
            prop_assert_eq!(found, records);
        }
        // A segment of no bytes takes 8 in the log and 40 in memory, while a list of them grows thrice that.
        let (_, peak) = measured(|| Records::new(Lsn(0), &bytes).count());
        prop_assert!(peak <= 16 * bytes.len() + 1024, "{} bytes of memory for {} of records", peak, bytes.len());
    }

    #[test]
    fn arbitrary_words_are_records_that_encode_to_the_same_or_refused(
        words in prop::collection::vec(prop_oneof![0..64u64, any::<u64>()], 0..40), kind in 0..9u8, flags in any::<u8>(),
    ) {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        if let Some(head) = bytes.first_chunk_mut::<8>() {
            // The length is right, so that what follows is read.
            let length = u32::try_from(words.len() * 8).unwrap().to_le_bytes();
            head[..4].copy_from_slice(&length);
            head[4..6].copy_from_slice(&[kind, flags & 0xbf]);
        }
        canonical(&bytes)?;
    }
}

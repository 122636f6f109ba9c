//! Frames and segment headers, also such that were forged with sound checksums.

use common::ids::{Epoch, Lsn};
use common::log::economy::Compress;
use common::log::frame::{FRAME_HEADER_LEN, FRAME_MAGIC, FRAME_VERSION, Frame, FrameError, FrameHeader, FrameReader};
use common::log::sealer::Sealer;
use common::log::segment;
use proptest::prelude::*;

use crate::change::{apply, changes};
use crate::config;
use crate::meter::measured;
use crate::records::{canonical, encoded, record};

fn compress() -> impl Strategy<Value = Compress> {
    prop::sample::select(vec![Compress::Always, Compress::Never])
}

/// The bytes of a header by docs/log-format.md.
fn header(header: &FrameHeader) -> Vec<u8> {
    let mut out = FRAME_MAGIC.to_le_bytes().to_vec();
    out.extend(FRAME_VERSION.to_le_bytes());
    out.extend(u16::from(header.compressed).to_le_bytes());
    out.extend(header.epoch.0.to_le_bytes());
    out.extend(header.first_lsn.0.to_le_bytes());
    out.extend(header.time.to_le_bytes());
    for word in [header.length, header.stored, header.payload_crc] {
        out.extend(word.to_le_bytes());
    }
    out.extend(crc32fast::hash(&out).to_le_bytes());
    out
}

/// Makes the checksums right; `length` the length of the payload too.
fn repair(bytes: &mut [u8], length: bool) {
    let Some((header, payload)) = bytes.split_first_chunk_mut::<FRAME_HEADER_LEN>() else { return };
    if length {
        let stored = u32::try_from(payload.len()).expect("a test's payload is short");
        header[36..40].copy_from_slice(&stored.to_le_bytes());
        if header[6] & 1 == 0 {
            header[32..36].copy_from_slice(&stored.to_le_bytes());
        }
    }
    header[40..44].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let crc = crc32fast::hash(&header[..44]);
    header[44..].copy_from_slice(&crc.to_le_bytes());
}

proptest! {
    #![proptest_config(config(8000))]

    #[test]
    fn a_forged_frame_is_refused_or_what_it_says(
        records in prop::collection::vec(record(), 0..6), compress in compress(),
        in_header in changes(2), in_payload in changes(3), length in any::<bool>(), epoch in any::<u64>(), lsn in 0..u64::MAX / 16,
    ) {
        let sealed = Sealer::new(Epoch(epoch), compress).seal(Lsn(lsn * 8), 7, &encoded(&records)).unwrap().to_vec();
        let (mut head, mut payload) = (sealed[..FRAME_HEADER_LEN].to_vec(), sealed[FRAME_HEADER_LEN..].to_vec());
        apply(&mut head, &in_header);
        apply(&mut payload, &in_payload);
        let mut bytes = [head, payload].concat();
        repair(&mut bytes, length);
        let (frame, peak) = measured(|| Frame::decode(&bytes));
        prop_assert!(peak <= 255 * bytes.len() + 4096, "{} bytes of memory for a frame of {}", peak, bytes.len());
        let Ok(frame) = frame else { return Ok(()) };
        prop_assert_eq!(&header(&frame.header)[..], &bytes[..FRAME_HEADER_LEN]);
        prop_assert_eq!(frame.payload.len(), frame.header.length as usize);
        if !frame.header.compressed {
            let mut sealer = Sealer::new(frame.header.epoch, Compress::Never);
            prop_assert_eq!(sealer.seal(frame.header.first_lsn, frame.header.time, &frame.payload).unwrap(), &bytes[..]);
        }
        canonical(&frame.payload)?;
        let mut reader = FrameReader::new(frame.header.first_lsn, Epoch(0));
        prop_assert!(reader.follow(&frame.header).is_ok());
        prop_assert_eq!(reader.next_lsn(), frame.header.end_lsn());
    }

    #[test]
    fn frames_out_of_order_are_refused_and_leave_the_reader_where_it_was(
        log in prop::collection::vec((prop::collection::vec(record(), 1..3), 0..3u64), 1..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
    ) {
        let (mut lsn, mut epoch, mut frames) = (Lsn(0), Epoch(1), Vec::new());
        for (records, won) in &log {
            epoch = Epoch(epoch.0 + won);
            let payload = encoded(records);
            frames.push(Sealer::new(epoch, Compress::Always).seal(lsn, 0, &payload).unwrap().to_vec());
            lsn = lsn.advance(payload.len());
        }
        let mut reader = FrameReader::new(Lsn(0), Epoch(1));
        let mut taken = 0;
        for index in order.iter().map(|index| index.index(frames.len())) {
            let before = reader.next_lsn();
            match reader.accept(&frames[index]) {
                Ok(_) => {
                    prop_assert_eq!(index, taken);
                    taken += 1;
                }
                Err(error) => {
                    prop_assert!(index != taken && matches!(error, FrameError::Gap { .. }), "{}", error);
                    prop_assert_eq!(reader.next_lsn(), before);
                }
            }
        }
    }

    #[test]
    fn a_segment_has_one_header(
        log_id in any::<u64>(), first in any::<u64>(), changes in changes(3), sound in any::<bool>(),
        name in "log-[0-9a-fA-F]{15,17}\\.seg|log-\\+?[0-9a-f]{1,16}\\.seg|\\PC{0,12}",
    ) {
        let right = segment::header(log_id, Lsn(first));
        let mut bytes = right.to_vec();
        apply(&mut bytes, &changes);
        if sound && bytes.len() >= segment::SEGMENT_HEADER_LEN {
            let crc = crc32fast::hash(&bytes[..32]);
            bytes[32..36].copy_from_slice(&crc.to_le_bytes());
        }
        let there = bytes.len().min(right.len());
        match segment::check_header(&bytes, log_id, Lsn(first)) {
            Ok(whole) => {
                prop_assert_eq!(&bytes[..there], &right[..there]);
                prop_assert_eq!(whole, there == right.len());
            }
            Err(error) => prop_assert_ne!(&bytes[..there], &right[..there], "{}", error),
        }
        if let Some(lsn) = segment::parse_file_name(&name) {
            prop_assert_eq!(segment::file_name(lsn), name);
        }
    }
}

use proptest::prelude::*;

use super::*;
use crate::log::economy::Compress;
use crate::log::sealer::Sealer;
use crate::record::{Kind, Segment, SegmentRole};

fn seal_as(compress: Compress, epoch: Epoch, lsn: Lsn, time: u64, records: &[u8]) -> Result<Vec<u8>, FrameError> {
    Sealer::new(epoch, compress).seal(lsn, time, records).map(<[u8]>::to_vec)
}

fn seal(epoch: Epoch, lsn: Lsn, time: u64, records: &[u8]) -> Result<Vec<u8>, FrameError> {
    seal_as(Compress::Never, epoch, lsn, time, records)
}

/// A frame of some records, compressed.
fn compressed(records: u16) -> Vec<u8> {
    let sealed = seal_as(Compress::Always, Epoch(1), Lsn(8), 5, &payload(records)).unwrap();
    assert!(Frame::decode(&sealed).unwrap().header.compressed);
    sealed
}

/// The frame with another header, whose checksum is right.
fn forge(sealed: &[u8], change: impl FnOnce(&mut FrameHeader)) -> Vec<u8> {
    let (header, payload) = sealed.split_first_chunk().unwrap();
    let mut header = FrameHeader::decode(header).unwrap();
    change(&mut header);
    [header.encode().as_slice(), payload].concat()
}

/// A compressed frame with this payload, whose checksums are right.
fn with_payload(length: u32, payload: &[u8]) -> Vec<u8> {
    let (epoch, first_lsn, payload_crc) = (Epoch(1), Lsn(8), crc32fast::hash(payload));
    let stored = u32::try_from(payload.len()).unwrap();
    let header = FrameHeader { epoch, first_lsn, time: 5, length, stored, compressed: true, payload_crc };
    [header.encode().as_slice(), payload].concat()
}

fn payload(records: u16) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 0..records {
        let args = vec![u64::from(number); usize::from(number % 7)];
        let mut record = Record::new(Kind::Call, number, i64::from(number) - 3).with_args(&args);
        let bytes = vec![number.to_le_bytes()[0]; usize::from(number)];
        record.segments.push(Segment { address: 0x1000, role: SegmentRole::Out, arg: 1, bytes });
        record.encode_into(&mut out);
    }
    out
}

#[test]
fn records_come_back_with_their_lsns() {
    let bytes = seal(Epoch(2), Lsn(800), 99, &payload(9)).unwrap();
    let frame = Frame::decode(&bytes).unwrap();
    assert_eq!((frame.header.epoch, frame.header.time), (Epoch(2), 99));
    let mut lsn = Lsn(800);
    let mut count = 0;
    for (number, item) in frame.records().enumerate() {
        let (at, record) = item.unwrap();
        assert_eq!((at, usize::from(record.number)), (lsn, number));
        lsn = lsn.advance(record.encoded_len());
        count += 1;
    }
    assert_eq!((count, lsn), (9, frame.header.end_lsn()));
}

#[test]
fn every_flipped_bit_is_found() {
    let plain = seal(Epoch(1), Lsn(0), 5, &payload(3)).unwrap();
    for sealed in [plain, compressed(30)] {
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut bytes = sealed.clone();
                bytes[at] ^= 1 << bit;
                let error = Frame::decode(&bytes).unwrap_err();
                let payload = matches!(error, FrameError::PayloadChecksum { .. });
                // Nothing is decompressed before it is known to be what was stored.
                assert_eq!(payload, at >= FRAME_HEADER_LEN, "byte {at} bit {bit}: {error}");
            }
        }
    }
}

#[test]
fn every_cut_of_a_compressed_frame_is_found() {
    let sealed = compressed(30);
    for cut in 0..sealed.len() {
        let found = Frame::decode(&sealed[..cut]).unwrap_err();
        let expected = matches!(found, FrameError::Short { .. } | FrameError::PayloadLength { .. });
        assert!(expected, "cut at {cut}: {found}");
    }
}

#[test]
fn compressed_records_keep_their_lsns() {
    let records = payload(30);
    let sealed = compressed(30);
    let frame = Frame::decode(&sealed).unwrap();
    assert_eq!((frame.header.length as usize, &*frame.payload), (records.len(), records.as_slice()));
    assert_eq!(frame.header.stored as usize, sealed.len() - FRAME_HEADER_LEN);
    assert_eq!(frame.header.end_lsn(), Lsn(8).advance(records.len()));
    assert!(sealed.len() < records.len() / 2, "{} of {}", sealed.len(), records.len());
}

#[test]
fn forged_lengths_are_refused() {
    let sealed = compressed(30);
    let header = Frame::decode(&sealed).unwrap().header;
    let refused = |change: fn(&mut FrameHeader)| Frame::decode(&forge(&sealed, change)).unwrap_err();
    // More or fewer records than the payload gives.
    for change in [|header: &mut FrameHeader| header.length += 8, |header: &mut FrameHeader| header.length -= 8] {
        let error = refused(change);
        let text = error.to_string();
        assert!(matches!(error, FrameError::Compressed { lsn: Lsn(8), .. }), "{text}");
        assert!(text.contains("cannot be decompressed to the "), "{text}");
    }
    let found = format!("it gives {}", header.length);
    assert_eq!(
        refused(|header| header.length += 8),
        FrameError::Compressed { lsn: Lsn(8), expected: header.length + 8, found }
    );
    // Lengths that no compressed frame has, the most that a header can say among them: before any memory is taken.
    for change in [
        |header: &mut FrameHeader| header.length = header.stored / 8 * 8,
        |header: &mut FrameHeader| header.length = 0,
        |header: &mut FrameHeader| header.stored = 0,
        |header: &mut FrameHeader| header.length = 1 << 30,
    ] {
        assert!(matches!(refused(change), FrameError::Stored { lsn: Lsn(8), .. }), "{}", refused(change));
    }
    assert!(matches!(refused(|header| header.length = u32::MAX - 7), FrameError::Length { .. }));
    assert!(matches!(refused(|header| header.stored -= 1), FrameError::PayloadLength { .. }));
    // Compressed or not: the flag does not lie.
    assert!(matches!(refused(|header| header.compressed = false), FrameError::Stored { .. }));
    let plain = seal(Epoch(1), Lsn(8), 5, &payload(3)).unwrap();
    let lies = forge(&plain, |header| header.compressed = true);
    assert!(matches!(Frame::decode(&lies), Err(FrameError::Stored { .. })));
}

#[test]
fn a_sound_checksum_does_not_make_a_payload_sound() {
    // No block at all, a copy from before its beginning, a copy with the offset 0, a block that ends in a length.
    let cases: [&[u8]; 4] = [&[0xff; 8], &[0x10, 9, 2, 0, 0], &[0x10, 9, 0, 0, 0], &[0x1f, 9, 1, 0, 255]];
    for payload in cases {
        let error = Frame::decode(&with_payload(64, payload)).unwrap_err();
        assert!(matches!(error, FrameError::Compressed { expected: 64, .. }), "{payload:?}: {error}");
    }
}

#[test]
fn the_longest_run_that_a_payload_can_stand_for_is_taken() {
    // Zeros give the most records for a payload: their frame must not be taken for a forged one.
    let records = vec![0; 1 << 22];
    let sealed = seal_as(Compress::Always, Epoch(1), Lsn(0), 0, &records).unwrap();
    assert!(sealed.len() < records.len() / 250, "{}", sealed.len());
    assert_eq!(*Frame::decode(&sealed).unwrap().payload, records);
}

#[test]
fn a_sealer_goes_on_after_long_and_short_frames() {
    let mut sealer = Sealer::new(Epoch(1), Compress::Auto);
    let noise: Vec<u8> = (0..8192u32).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
    let sevens = vec![7; 3 << 20];
    let mut lsn = Lsn(0);
    let mut kinds = Vec::new();
    for records in [&noise[..], &sevens, &sevens, &[], &payload(2), &payload(60), &noise] {
        let sealed = sealer.seal(lsn, 0, records).unwrap();
        let frame = Frame::decode(sealed).unwrap();
        assert_eq!((frame.header.first_lsn, &*frame.payload), (lsn, records));
        kinds.push(frame.header.compressed);
        lsn = frame.header.end_lsn();
    }
    // After noise one frame is passed over.
    assert_eq!(kinds, [false, false, true, false, false, true, false]);
}

#[test]
fn a_damaged_length_is_told_from_a_cut_payload() {
    let sealed = seal(Epoch(1), Lsn(0), 5, &payload(3)).unwrap();
    let mut longer = sealed.clone();
    longer[33] ^= 1;
    assert!(matches!(Frame::decode(&longer), Err(FrameError::HeaderChecksum { .. })));
    let cut = &sealed[..sealed.len() - 1];
    assert!(matches!(Frame::decode(cut), Err(FrameError::PayloadLength { .. })));
    assert!(matches!(Frame::decode(&sealed[..47]), Err(FrameError::Short { found: 47 })));
}

#[test]
fn flags_and_versions_of_the_future_are_refused_by_name() {
    let sealed = seal(Epoch(1), Lsn(8), 5, &payload(1)).unwrap();
    let with = |at: usize, value: u8| {
        let mut bytes = sealed.clone();
        bytes[at] = value;
        let crc = crc32fast::hash(&bytes[..44]);
        bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        Frame::decode(&bytes).unwrap_err()
    };
    let next = FRAME_VERSION + 1;
    assert_eq!(with(4, u8::try_from(next).unwrap()), FrameError::Version { found: next });
    assert_eq!(with(4, 2), FrameError::Version { found: 2 });
    assert_eq!(with(6, 2), FrameError::Flags { lsn: Lsn(8), found: 2 });
    assert_eq!(with(6, 3), FrameError::Flags { lsn: Lsn(8), found: 3 });
}

#[test]
fn a_record_must_not_straddle_frames() {
    let whole = payload(2);
    let bytes = seal(Epoch(1), Lsn(0), 0, &whole[..whole.len() - 8]).unwrap();
    let items: Vec<_> = Frame::decode(&bytes).unwrap().records().collect();
    assert!(items[0].is_ok());
    assert!(matches!(items[1], Err(FrameError::Record { .. })));
    assert_eq!(items.len(), 2);
}

#[test]
fn what_cannot_be_placed_is_not_sealed() {
    assert!(matches!(seal(Epoch(1), Lsn(4), 0, &[0; 8]), Err(FrameError::Misplaced { .. })));
    assert!(matches!(seal(Epoch(1), Lsn(u64::MAX - 7), 0, &[0; 8]), Err(FrameError::Misplaced { .. })));
    assert!(matches!(seal(Epoch(1), Lsn(0), 0, &[0; 7]), Err(FrameError::Length { .. })));
}

#[test]
fn gaps_repeats_and_superseded_writers_are_refused() {
    let body = payload(1);
    let frame = |epoch, lsn| seal(Epoch(epoch), Lsn(lsn), 0, &body).unwrap();
    let len = body.len() as u64;
    let mut reader = FrameReader::new(Lsn(0), Epoch(2));
    reader.accept(&frame(2, 0)).unwrap();
    assert_eq!(reader.accept(&frame(2, 0)), Err(FrameError::Gap { expected: Lsn(len), found: Lsn(0) }));
    assert!(matches!(reader.accept(&frame(2, len + 8)), Err(FrameError::Gap { .. })));
    assert!(matches!(reader.accept(&frame(1, len)), Err(FrameError::Superseded { .. })));
    reader.accept(&frame(3, len)).unwrap();
    assert_eq!((reader.next_lsn(), reader.epoch()), (Lsn(2 * len), Epoch(3)));
}

/// Bytes of which some repeat, some do not.
fn compressible() -> impl Strategy<Value = Vec<u8>> {
    let run = (prop::collection::vec(any::<u8>(), 1..40), 1usize..60);
    prop::collection::vec(run, 0..40).prop_map(|runs| {
        let mut bytes: Vec<u8> = runs.into_iter().flat_map(|(part, times)| part.repeat(times)).collect();
        bytes.truncate(bytes.len() / 8 * 8);
        bytes
    })
}

fn any_compress() -> impl Strategy<Value = Compress> {
    prop_oneof![Just(Compress::Auto), Just(Compress::Always), Just(Compress::Never)]
}

proptest! {
    #[test]
    fn frames_come_back(frames in prop::collection::vec(compressible(), 1..8), compress in any_compress()) {
        let mut sealer = Sealer::new(Epoch(4), compress);
        let mut reader = FrameReader::new(Lsn(0), Epoch(1));
        for records in frames {
            let first_lsn = reader.next_lsn();
            let sealed = sealer.seal(first_lsn, 3, &records).unwrap();
            prop_assert!(sealed.len() <= FRAME_HEADER_LEN + records.len());
            let frame = reader.accept(sealed).unwrap();
            prop_assert_eq!(&*frame.payload, &records);
            prop_assert_eq!((frame.header.epoch, frame.header.first_lsn, frame.header.time), (Epoch(4), first_lsn, 3));
            prop_assert!(!(frame.header.compressed && compress == Compress::Never));
            prop_assert_eq!(reader.next_lsn(), first_lsn.advance(records.len()));
        }
    }

    #[test]
    fn damage_anywhere_is_found(
        records in compressible(), flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let sealed = seal_as(Compress::Always, Epoch(1), Lsn(0), 0, &records).unwrap();
        let bits: std::collections::BTreeSet<_> = flips.iter().map(|flip| flip.index(sealed.len() * 8)).collect();
        let mut bytes = sealed;
        bits.iter().for_each(|bit| bytes[bit / 8] ^= 1 << (bit % 8));
        prop_assert!(Frame::decode(&bytes).is_err());
    }

    #[test]
    fn forged_payloads_never_panic_and_give_what_they_say(
        records in compressible(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        more in -4i32..4,
    ) {
        // A sound block that was changed, under checksums that are right.
        let mut block = lz4_flex::block::compress(&records);
        for (at, value) in changes {
            let at = at.index(block.len());
            block[at] = value;
        }
        let length = u32::try_from(records.len()).unwrap().saturating_add_signed(more * 8);
        if let Ok(frame) = Frame::decode(&with_payload(length, &block)) {
            prop_assert_eq!(frame.payload.len(), length as usize);
            prop_assert!(block.len() < frame.payload.len());
        }
    }

    #[test]
    fn forged_headers_give_what_they_say_or_an_error(
        records in compressible(), length in any::<u32>(), stored in any::<u32>(), compressed in any::<bool>(),
        near in any::<bool>(),
    ) {
        let sealed = seal_as(Compress::Always, Epoch(1), Lsn(0), 0, &records).unwrap();
        let forged = forge(&sealed, |header| {
            header.length = if near { header.length / 8 * 8 + length % 4 * 8 } else { length };
            header.stored = if near { header.stored } else { stored };
            header.compressed = compressed;
        });
        if let Ok(frame) = Frame::decode(&forged) {
            prop_assert_eq!(&*frame.payload, &records);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200), sound in any::<bool>(), compressed in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if sound && bytes.len() >= FRAME_HEADER_LEN {
            bytes[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
            bytes[4..6].copy_from_slice(&FRAME_VERSION.to_le_bytes());
            bytes[6..8].copy_from_slice(&u16::from(compressed).to_le_bytes());
            let crc = crc32fast::hash(&bytes[..44]);
            bytes[44..48].copy_from_slice(&crc.to_le_bytes());
        }
        let _ = Frame::decode(&bytes).map(|frame| frame.records().count());
        if let Some((header, payload)) = bytes.split_first_chunk::<FRAME_HEADER_LEN>() {
            let length = u32::from(header[0]) * 8;
            let _ = Frame::decode(&with_payload(length, payload)).map(|frame| frame.records().count());
        }
        let _ = Records::new(Lsn(0), &bytes).count();
    }
}

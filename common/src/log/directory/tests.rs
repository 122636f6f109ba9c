use std::fs;

use tempfile::TempDir;

use super::*;
use crate::ids::Epoch;
use crate::log::economy::Compress;
use crate::log::sealer::Sealer;
use crate::record::{Kind, Record, Segment, SegmentRole};
use crate::snapshot::tests::process;
use crate::snapshot::{ContentSource, Manifest, MemoryStore};

const LOG_ID: u64 = 0x1234_5678_9abc_def0;

fn record(number: u16) -> Record {
    let mut record = Record::new(Kind::Call, number, 5).with_args(&[1, 2, number.into()]);
    record.segments.push(Segment { address: 64, role: SegmentRole::Out, arg: 1, bytes: vec![9; number.into()] });
    record
}

fn end() -> Record {
    Record::new(Kind::End, 0, 256)
}

fn sealed(lsn: Lsn, records: &[Record]) -> Vec<u8> {
    sealed_as(Compress::Never, lsn, records)
}

fn sealed_as(compress: Compress, lsn: Lsn, records: &[Record]) -> Vec<u8> {
    let mut payload = Vec::new();
    records.iter().for_each(|record| record.encode_into(&mut payload));
    Sealer::new(Epoch(1), compress).seal(lsn, 77, &payload).unwrap().to_vec()
}

fn snapshot() -> (Manifest, MemoryStore) {
    let mut store = MemoryStore::default();
    (process(LOG_ID, &mut store), store)
}

/// A log of several small segments; `frames` give the records of each frame, every second one is compressed.
fn write(dir: &Path, frames: &[Vec<Record>], segment_len: u64) {
    let (manifest, store) = snapshot();
    let mut writer = Writer::create(dir, &manifest, &store, segment_len).unwrap();
    for (records, compress) in frames.iter().zip([Compress::Always, Compress::Never].into_iter().cycle()) {
        let frame = sealed_as(compress, writer.next_lsn(), records);
        writer.append(&frame).unwrap();
    }
    writer.sync().unwrap();
}

fn small(ended: bool) -> (TempDir, Vec<Record>) {
    let mut frames: Vec<Vec<Record>> = vec![vec![record(1), record(2)], vec![record(3)], vec![record(40), record(5)]];
    if ended {
        frames.push(vec![record(6), end()]);
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &frames, 200);
    (dir, frames.concat())
}

/// Everything that a replay would use: contents and records; how the log ends, or the error.
fn read(dir: &Path) -> (Vec<Record>, Result<Tail, LogError>) {
    let mut records = Vec::new();
    let outcome = (|| {
        let mut reader = Reader::open(dir)?;
        for hash in reader.manifest().hashes() {
            let missing = || StoreError::Missing { path: dir.to_owned(), hash };
            reader.content().get(&hash)?.ok_or_else(missing)?;
        }
        for entry in &mut reader {
            records.push(entry?.record);
        }
        assert!(reader.next().is_none(), "a reader that has ended stays so");
        Ok(reader.tail().unwrap())
    })();
    (records, outcome)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    files(dir).into_iter().filter(|path| path.to_string_lossy().ends_with(".seg")).collect()
}

#[test]
fn a_log_comes_back_over_several_segments() {
    let (dir, records) = small(true);
    assert!(segment_files(dir.path()).len() >= 3, "the log is to have several segments");
    assert_eq!(files(dir.path()).len(), segment_files(dir.path()).len() + 2, "nothing else is left in the directory");
    let (found, tail) = read(dir.path());
    assert_eq!((found, tail.unwrap()), (records, Tail::Ended));
    let mut reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.manifest(), &snapshot().0);
    let first = reader.next().unwrap().unwrap();
    assert_eq!((first.lsn, first.epoch, first.time), (Lsn(0), Epoch(1), 77));
    let second = reader.next().unwrap().unwrap();
    assert_eq!(second.lsn, Lsn(first.record.encoded_len() as u64));
}

#[test]
fn frames_can_be_read_instead_of_records() {
    let (dir, _) = small(true);
    let mut reader = Reader::open(dir.path()).unwrap();
    let mut at = Lsn(0);
    let (mut compressed, mut stored) = (Vec::new(), 0);
    while let Some(frame) = reader.next_frame().unwrap() {
        assert_eq!(frame.header.first_lsn, at);
        at = frame.header.end_lsn();
        compressed.push(frame.header.compressed);
        stored += 48 + u64::from(frame.header.stored);
    }
    assert_eq!((reader.tail(), reader.next_lsn(), reader.stored_bytes()), (Some(Tail::Ended), at, stored));
    assert_eq!(compressed, [true, false, true, false], "the log has frames of both kinds");
}

#[test]
fn a_log_without_its_end_is_open() {
    let (dir, records) = small(false);
    let (found, tail) = read(dir.path());
    assert_eq!((found, tail.unwrap()), (records, Tail::Open));
}

#[test]
fn frames_without_records_do_not_begin_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &vec![Vec::new(); 20], 100);
    assert_eq!(segment_files(dir.path()).len(), 1);
    assert_eq!(read(dir.path()).1.unwrap(), Tail::Open);
}

#[test]
fn every_flipped_byte_is_found() {
    let (dir, _) = small(true);
    let mut flips = 0;
    for path in files(dir.path()) {
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let (_, tail) = read(dir.path());
            assert!(tail.is_err(), "{} byte {at}: {tail:?}", path.display());
            flips += 1;
        }
        fs::write(&path, &sound).unwrap();
    }
    assert!(flips > 9000, "every file was gone through: {flips}");
    assert_eq!(read(dir.path()).1.unwrap(), Tail::Ended);
}

#[test]
fn a_cut_gives_everything_before_it_and_no_more() {
    let (dir, records) = small(true);
    let segments = segment_files(dir.path());
    let (last, before) = segments.split_last().unwrap();
    let first = crate::log::segment::parse_file_name(&last.file_name().unwrap().to_string_lossy()).unwrap();
    let sound = fs::read(last).unwrap();
    for cut in 0..sound.len() {
        fs::write(last, &sound[..cut]).unwrap();
        let (found, tail) = read(dir.path());
        assert_eq!(found, records[..found.len()], "cut at {cut}");
        match tail.unwrap() {
            Tail::Torn { lsn, bytes } => {
                let whole: usize = found.iter().map(Record::encoded_len).sum();
                assert_eq!(lsn, Lsn(whole as u64), "cut at {cut}");
                assert!(bytes <= cut as u64 && lsn >= first, "cut at {cut}");
            }
            Tail::Open => assert_eq!(cut, 36, "only behind the header are there no bytes of a frame"),
            Tail::Ended => panic!("cut at {cut}: the End record is gone"),
        }
    }
    fs::write(last, &sound).unwrap();
    for path in before {
        let sound = fs::read(path).unwrap();
        for cut in 0..sound.len() {
            fs::write(path, &sound[..cut]).unwrap();
            assert!(read(dir.path()).1.is_err(), "{} cut at {cut}", path.display());
        }
        fs::write(path, &sound).unwrap();
    }
}

#[test]
fn a_forged_compressed_frame_is_refused() {
    // Its header says other lengths under a sound checksum.
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<_> = (0..9).map(record).collect();
    write(dir.path(), std::slice::from_ref(&records), 1 << 20);
    assert_eq!(read(dir.path()).0, records);
    let path = &segment_files(dir.path())[0];
    let sound = fs::read(path).unwrap();
    let forge = |change: fn(&mut u32)| {
        let mut bytes = sound.clone();
        let mut length = u32::from_le_bytes(bytes[36 + 32..36 + 36].try_into().unwrap());
        change(&mut length);
        bytes[36 + 32..36 + 36].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&bytes[36..36 + 44]);
        bytes[36 + 44..36 + 48].copy_from_slice(&crc.to_le_bytes());
        fs::write(path, bytes).unwrap();
        read(dir.path())
    };
    for change in [|length: &mut u32| *length += 8, |length: &mut u32| *length -= 8] {
        let (found, tail) = forge(change);
        let error = tail.unwrap_err();
        assert!(matches!(error, LogError::Frame { source: FrameError::Compressed { .. }, .. }), "{error}");
        assert!(found.is_empty(), "no record of it is given out");
    }
    let error = forge(|length| *length = 1 << 30).1.unwrap_err();
    assert!(matches!(error, LogError::Frame { source: FrameError::Stored { .. }, .. }), "{error}");
}

#[test]
fn missing_files_are_named() {
    let (dir, _) = small(true);
    let segments = segment_files(dir.path());
    for path in files(dir.path()) {
        let sound = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (_, tail) = read(dir.path());
        if Some(&path) == segments.last() {
            assert_eq!(tail.unwrap(), Tail::Open, "a log that lacks its end is like one whose recorder was killed");
        } else {
            assert!(tail.is_err(), "{} is missing", path.display());
        }
        fs::write(&path, sound).unwrap();
    }
    fs::remove_file(&segments[1]).unwrap();
    assert!(matches!(read(dir.path()).1, Err(LogError::Missing { .. })));
    fs::remove_file(dir.path().join("snapshot")).unwrap();
    assert!(matches!(read(dir.path()).1, Err(LogError::NoLog { .. })));
}

#[test]
fn segments_of_another_log_are_refused() {
    let (dir, _) = small(true);
    let segments = segment_files(dir.path());
    let other = crate::log::segment::header(LOG_ID + 1, Lsn(0));
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[..36].copy_from_slice(&other);
    fs::write(&segments[0], bytes).unwrap();
    let error = read(dir.path()).1.unwrap_err();
    assert!(matches!(error, LogError::Segment { source: SegmentError::LogId { .. }, .. }), "{error}");
    fs::rename(&segments[0], dir.path().join("log-0.seg")).unwrap();
    assert!(matches!(read(dir.path()).1, Err(LogError::Name { .. })));
}

#[test]
fn nothing_may_follow_the_end() {
    let cases: [Vec<Vec<Record>>; 3] = [
        vec![vec![record(1), end(), record(2)]],
        vec![vec![record(1), end()], vec![record(2)]],
        vec![vec![record(1), end()], Vec::new()],
    ];
    for frames in cases {
        for segment_len in [1, 1 << 20] {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), &frames, segment_len);
            let (_, tail) = read(dir.path());
            assert!(matches!(tail, Err(LogError::AfterEnd { .. })), "{tail:?}");
        }
    }
}

#[test]
fn a_directory_with_a_log_is_not_written_to() {
    let (dir, records) = small(true);
    let (manifest, store) = snapshot();
    assert!(matches!(Writer::create(dir.path(), &manifest, &store, 300), Err(LogError::Exists { .. })));
    assert_eq!(read(dir.path()).0, records);
}

#[test]
fn only_what_continues_the_log_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, store) = snapshot();
    let mut writer = Writer::create(dir.path().join("new/dir"), &manifest, &store, 300).unwrap();
    let frame = sealed(Lsn(0), &[record(1)]);
    assert!(matches!(writer.append(&sealed(Lsn(8), &[record(1)])), Err(LogError::Frame { .. })));
    assert!(matches!(writer.append(&frame[..frame.len() - 1]), Err(LogError::Frame { .. })));
    writer.append(&frame).unwrap();
    assert!(matches!(writer.append(&frame), Err(LogError::Frame { .. })));
    assert_eq!(read(&dir.path().join("new/dir")).0, [record(1)]);
}

#[test]
fn a_write_that_fails_is_named_and_leaves_a_whole_log() {
    let (manifest, store) = snapshot();
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(dir.path(), &manifest, &store, 1).unwrap();
    writer.append(&sealed(Lsn(0), &[record(1)])).unwrap();
    // The next segment cannot be made: its name is taken.
    let next = writer.next_lsn();
    let taken = dir.path().join(crate::log::segment::file_name(next));
    fs::create_dir(&taken).unwrap();
    let error = writer.append(&sealed(next, &[record(2)])).unwrap_err();
    assert!(error.to_string().contains(&*taken.to_string_lossy()), "{error}");
    fs::remove_dir(&taken).unwrap();
    assert!(matches!(writer.append(&sealed(next, &[record(2)])), Err(LogError::Failed { .. })));
    assert_eq!(read(dir.path()).0, [record(1)]);
}

#[test]
fn a_full_disk_is_told_with_path_and_error_number() {
    // /dev/full answers every write with ENOSPC.
    let dir = tempfile::tempdir().unwrap();
    let (manifest, store) = snapshot();
    let mut writer = Writer::create(dir.path(), &manifest, &store, 1).unwrap();
    writer.append(&sealed(Lsn(0), &[record(1)])).unwrap();
    let mut writer = writer.onto(fs::OpenOptions::new().write(true).open("/dev/full").unwrap(), "/dev/full");
    let error = writer.append(&sealed(writer.next_lsn(), &[record(2)])).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("/dev/full") && text.contains("os error 28"), "{text}");
}

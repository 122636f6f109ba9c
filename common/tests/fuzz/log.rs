//! A log directory of which one file was changed.

use std::fs;

use common::ids::Epoch;
use common::log::directory::{Reader, Writer};
use common::log::economy::Compress;
use common::log::sealer::Sealer;
use common::record::{Kind, Record};
use common::snapshot::MemoryStore;
use proptest::prelude::*;

use crate::change::{apply, changes};
use crate::config;
use crate::records::{encoded, record};
use crate::snapshots::small;

proptest! {
    #![proptest_config(config(150))]

    #[test]
    fn a_changed_log_gives_a_beginning_of_what_was_written(
        frames in prop::collection::vec(prop::collection::vec(record(), 1..4), 1..6),
        file in any::<prop::sample::Index>(), changes in changes(3),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), &small(5), &MemoryStore::default(), 400).unwrap();
        let mut written: Vec<Record> = Vec::new();
        let mut sealer = Sealer::new(Epoch(1), Compress::Always);
        for frame in frames {
            let frame: Vec<Record> = frame.into_iter().filter(|record| record.kind != Kind::End).collect();
            let sealed = sealer.seal(writer.next_lsn(), 0, &encoded(&frame)).unwrap();
            writer.append(sealed).unwrap();
            written.extend(frame);
        }
        writer.sync().unwrap();
        let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let path = &files[file.index(files.len())];
        let sound = fs::read(path).unwrap();
        let mut bytes = sound.clone();
        apply(&mut bytes, &changes);
        fs::write(path, &bytes).unwrap();
        let same = bytes == sound;
        let Ok(mut reader) = Reader::open(dir.path()) else {
            prop_assert!(!same);
            return Ok(());
        };
        let mut read = Vec::new();
        let mut failed = false;
        for item in &mut reader {
            match item {
                Ok(entry) => read.push(entry.record),
                Err(_) => failed = true,
            }
        }
        prop_assert!(read.len() <= written.len());
        prop_assert_eq!(&read[..], &written[..read.len()]);
        prop_assert_eq!(failed, reader.tail().is_none(), "it fails or says how it ends");
        if same {
            prop_assert!(!failed && read.len() == written.len());
        }
    }
}

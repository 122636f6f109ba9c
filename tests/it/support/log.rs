//! A log written anew, with records that say something else.

use std::path::Path;

use anyhow::Result;
use common::log::directory::{Entry, Reader, SEGMENT_LEN, Writer};
use common::log::economy::Compress;
use common::log::sealer::Sealer;
use common::record::Record;

/// Copies the log in `from` to `to`; each record goes through `forge`.
pub(crate) fn rewrite(from: &Path, to: &Path, mut forge: impl FnMut(&mut Record)) -> Result<()> {
    let mut reader = Reader::open(from)?;
    let mut writer = Writer::create(to, reader.manifest(), reader.content(), SEGMENT_LEN)?;
    let mut next = reader.manifest().lsn;
    for entry in reader.by_ref() {
        let Entry { epoch, time, mut record, .. } = entry?;
        forge(&mut record);
        let mut payload = Vec::new();
        record.encode_into(&mut payload);
        writer.append(Sealer::new(epoch, Compress::Never).seal(next, time, &payload)?)?;
        next = next.advance(payload.len());
    }
    Ok(())
}

/// All records of a log.
pub(crate) fn records(log: &Path) -> Result<Vec<Record>> {
    Reader::open(log)?.map(|entry| Ok(entry?.record)).collect()
}

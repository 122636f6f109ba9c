//! `ftrun replay`: a recording runs again and is compared record by record.

use std::io::Write;

use anyhow::{Result, bail};
use common::ids::ConnId;
use common::log::directory::{Reader, Tail};
use replayer::driver::{Driver, Outputs};
use replayer::restore;

use crate::args::Replay;
use crate::exit::Exit;

/// What the server wrote to its standard output and error is written to ftrun's.
struct Standard;

impl Outputs for Standard {
    fn produced(&mut self, _: ConnId, _: &[u8]) {}

    fn inherited(&mut self, number: i32, bytes: &[u8]) {
        // A reader who has gone away does not make the replay another one.
        let _ = match number {
            1 => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            2 => std::io::stderr().write_all(bytes),
            _ => Ok(()),
        };
    }
}

pub fn run(args: Replay) -> Result<Exit> {
    let cpu = super::processor(args.cpu, 0);
    let _pinned = super::Pinned::on(cpu);
    let mut reader = Reader::open(&args.directory)?;
    let (stopped, kernel) = restore::restore(reader.manifest(), reader.content(), cpu)?;
    let mut driver = Driver::new(stopped, kernel, reader.manifest().lsn);
    let mut records = 0u64;
    for entry in reader.by_ref() {
        let step = entry
            .map_err(anyhow::Error::from)
            .and_then(|entry| Ok(driver.apply(entry.lsn, &entry.record, &mut Standard)?));
        if let Err(error) = step {
            driver.kill();
            return Err(error);
        }
        records += 1;
    }
    driver.kill();
    match reader.tail() {
        Some(Tail::Ended) => {}
        Some(Tail::Open) => tracer::say!("the log ends while the server runs: its recorder was stopped"),
        Some(Tail::Torn { lsn, bytes }) => {
            eprintln!(
                "ftrun: the log is cut in the frame at LSN {lsn} ({bytes} bytes left over): its recorder was killed"
            );
        }
        None => bail!("the log has no end"),
    }
    eprintln!("replayed {records} records, identical");
    Ok(Exit::Success)
}

//! `ftrun replay`: a recording runs again and is compared record by record.

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;

use anyhow::{Result, bail};
use common::ids::{ConnId, ReplicaId};
use common::log::directory::{Reader, Tail};
use replayer::driver::{Driver, Outputs};
use replayer::restore;
use replayer::retained::Retained;
use tracer::recorder::{Ending, FileAreas};

use super::live::Survivor;
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

/// Test only: the replica goes on by itself from where it stands.
fn live(driver: Driver) -> Result<Exit> {
    let Some(point) = driver.into_point()? else {
        bail!("the log ends with the server: nothing is left that could go live");
    };
    let epoch = point.kernel.epoch();
    let survivor = Survivor {
        proxy: None,
        retained: &Retained::default(),
        epoch,
        replica: ReplicaId(0),
        advertise: Ipv4Addr::LOCALHOST.into(),
        primary_clock: None,
    };
    let ended = survivor.serve(point, &AtomicU64::new(epoch.0), || Ok(()))?;
    Ok(match ended {
        Ending::Ended(status) => Exit::Server(status),
        Ending::Killed => Exit::Server(libc::SIGKILL),
    })
}

pub fn run(args: Replay) -> Result<Exit> {
    let cpu = super::processor(args.cpu, 0);
    let _pinned = super::Pinned::on(cpu);
    let mut reader = Reader::open(&args.directory)?;
    let (stopped, kernel) = restore::restore(reader.manifest(), reader.content(), cpu)?;
    let mut driver =
        Driver::new(stopped, kernel, FileAreas::in_snapshot(&reader.manifest().memory), reader.manifest().lsn);
    let mut records = 0u64;
    for entry in reader.by_ref() {
        if args.live_after == Some(records) {
            return live(driver);
        }
        let step = entry
            .map_err(anyhow::Error::from)
            .and_then(|entry| Ok(driver.apply(entry.lsn, &entry.record, &mut Standard)?));
        if let Err(error) = step {
            driver.kill();
            return Err(error);
        }
        records += 1;
    }
    if args.live_after.is_some() {
        return live(driver);
    }
    driver.kill();
    match reader.tail() {
        Some(Tail::Ended) => {}
        Some(Tail::Open) => eprintln!("ftrun: the log ends while the server runs: its recorder was stopped"),
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

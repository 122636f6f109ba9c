//! `ftrun replay`: a recording runs again and is compared record by record.

use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result, anyhow, bail};
use common::ids::{ConnId, ReplicaId};
use common::log::directory::{Reader, Tail};
use replayer::driver::{Driver, Outputs};
use replayer::restore;
use replayer::retained::Retained;
use tracer::recorder::{Ending, FileAreas};
use tracer::say;

use super::live::Survivor;
use crate::args::Replay;
use crate::ending::{self, Bond};
use crate::exit::Exit;

/// What the server wrote to its standard output and error is written to ftrun's.
#[derive(Default)]
struct Standard {
    failed: Option<std::io::Error>,
}

impl Outputs for Standard {
    fn produced(&mut self, _: ConnId, _: &[u8]) {}

    fn inherited(&mut self, number: i32, bytes: &[u8]) {
        let written = match number {
            1 => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            2 => std::io::stderr().write_all(bytes),
            _ => Ok(()),
        };
        // A reader who has gone away does not make the replay another one.
        if let Err(error) = written
            && error.kind() != ErrorKind::BrokenPipe
        {
            self.failed.get_or_insert(error);
        }
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
        unprotected: &Mutex::default(),
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
    let (stopped, kernel) =
        restore::restore(reader.manifest(), reader.content(), cpu, &tracer::interceptor::shared::Shared::new()?)?;
    ending::with_us(stopped.pid(), Bond::Traced, None)?;
    let mut outputs = Standard::default();
    let files = FileAreas::in_snapshot(&reader.manifest().memory);
    let mut driver = Driver::new(stopped, kernel, files, reader.manifest().lsn);
    let mut records = 0u64;
    for entry in reader.by_ref() {
        if args.live_after == Some(records) {
            return live(driver);
        }
        let step = entry
            .map_err(anyhow::Error::from)
            .and_then(|entry| Ok(driver.apply(entry.lsn, &entry.record, &mut outputs)?));
        step?;
        if let Some(error) = outputs.failed {
            return Err(anyhow!("the server's output cannot be written: {error}"));
        }
        records += 1;
    }
    if args.live_after.is_some() {
        return live(driver);
    }
    match reader.tail() {
        Some(Tail::Ended) => {}
        Some(Tail::Open) => say!("the log ends while the server runs: its recorder was stopped"),
        Some(Tail::Torn { lsn, bytes }) => {
            say!("the log is cut in the frame at LSN {lsn} ({bytes} bytes left over): its recorder was killed");
        }
        None => bail!("the log has no end"),
    }
    let last = format!("replayed {records} records, identical\n");
    std::io::stderr().write_all(last.as_bytes()).context("the result cannot be written to standard error")?;
    Ok(Exit::Success)
}

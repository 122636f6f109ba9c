//! `ftrun replay`: a recording runs again and is compared record by record.

use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use common::ids::{ConnId, Lsn, ReplicaId};
use common::log::directory::{Entry, Reader, Tail};
use replayer::driver::{Driver, Next, Outputs, Source};
use replayer::feed::Item;
use replayer::restore;
use replayer::retained::Retained;
use tracer::interceptor::Manner;
use tracer::place::watch::Looks;
use tracer::recorder::Ending;
use tracer::say;

use super::live::Survivor;
use crate::args::Replay;
use crate::ending::{self, Bond};
use crate::exit::Exit;

/// What reading and writing, which happen while the replay runs, tell its end.
#[derive(Debug, Default)]
struct State {
    given: u64,
    tail: Option<Tail>,
    failed: Option<anyhow::Error>,
}

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the server wrote to its standard output and error is written to ftrun's.
#[derive(Debug)]
struct Standard(Shared);

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
            let error = anyhow!("the server's output cannot be written: {error}");
            lock(&self.0).failed.get_or_insert(error);
        }
    }
}

/// The records of a directory, up to the first error.
#[derive(Debug)]
struct Recording {
    reader: Reader,
    limit: Option<u64>,
    state: Shared,
}

impl Source for Recording {
    fn poll(&mut self) -> Next {
        let mut state = lock(&self.state);
        if state.failed.is_some() || self.limit == Some(state.given) {
            return Next::End;
        }
        match self.reader.next() {
            Some(Ok(Entry { lsn, record, .. })) => {
                state.given += 1;
                Next::Item(Item { lsn, record, arrived: Instant::now() })
            }
            Some(Err(error)) => {
                state.failed = Some(error.into());
                Next::End
            }
            None => {
                state.tail = self.reader.tail();
                Next::End
            }
        }
    }

    fn replayed(&mut self, _: Lsn, _: Option<Instant>) {}
}

/// Test only: the replica goes on by itself from where it stands.
fn live(driver: Driver, manner: Manner) -> Result<Exit> {
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
        manner,
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
    let reader = Reader::open(&args.directory)?;
    let pinned = super::Pinned::on(cpu);
    let restored = restore::restore(reader.manifest(), reader.content(), cpu)?;
    drop(pinned);
    ending::with_us(restored.stopped.pid(), Bond::Traced, None)?;
    let state = Shared::default();
    let recording = Recording { reader, limit: args.live_after, state: Arc::clone(&state) };
    let outputs = Standard(Arc::clone(&state));
    let manner = super::manner(&args.layer);
    let mut driver = Driver::new(restored, manner, Box::new(recording), Arc::default(), Box::new(outputs))?;
    let _pinned = super::Pinned::on(cpu);
    let run = driver.run();
    let State { given: records, tail, failed } = std::mem::take(&mut *lock(&state));
    run?;
    if let Some(error) = failed {
        return Err(error);
    }
    if args.live_after.is_some() {
        return live(driver, manner);
    }
    match tail {
        Some(Tail::Ended) => {}
        Some(Tail::Open) => say!("the log ends while the server runs: its recorder was stopped"),
        Some(Tail::Torn { lsn, bytes }) => {
            say!("the log is cut in the frame at LSN {lsn} ({bytes} bytes left over): its recorder was killed");
        }
        None => bail!("the log has no end"),
    }
    let Looks { positions, counted, by_breakpoint, stops, near } = driver.looks();
    if positions > 0 {
        say!(
            "{positions} signals between two calls: the way to {counted} counted; {stops} stops, {near} of them for memory alone; {by_breakpoint} by a breakpoint"
        );
    }
    let last = format!("replayed {records} records, identical\n");
    std::io::stderr().write_all(last.as_bytes()).context("the result cannot be written to standard error")?;
    Ok(Exit::Success)
}

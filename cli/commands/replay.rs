//! `ftrun replay`: a recording runs again and is compared record by record.

use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use common::ids::{ConnId, Lsn, ReplicaId};
use common::log::directory::{Entry, Reader, Tail};
use common::memory::Scope;
use common::record::{Kind, Record};
use replayer::driver::{Driver, Next, Outputs, Source};
use replayer::feed::Item;
use replayer::restore;
use replayer::retained::Retained;
use tracer::interceptor::Manner;
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
    told: Told,
    tail: Option<Tail>,
    failed: Option<anyhow::Error>,
}

/// What the records of a log are about.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) records: u64,
    pub(super) calls: u64,
    pub(super) signals: u64,
    pub(super) instructions: u64,
    /// Looks at memory.
    pub(super) looks: u64,
    /// Pages in all of them.
    pub(super) pages: u64,
    /// Pages in the look at the last call.
    pub(super) at_end: Option<u64>,
}

impl Told {
    fn take(&mut self, record: &Record) {
        self.records += 1;
        match record.kind {
            Kind::Call | Kind::Exec => self.calls += 1,
            Kind::Signal => self.signals += 1,
            Kind::Instruction => self.instructions += 1,
            Kind::Memory if record.number == Scope::Announced as u16 => {}
            Kind::Memory => {
                let pages = u64::try_from(record.result).unwrap_or(0);
                (self.looks, self.pages) = (self.looks + 1, self.pages.saturating_add(pages));
                if record.number == Scope::Readable as u16 {
                    self.at_end = Some(pages);
                }
            }
            Kind::Epoch | Kind::Patch | Kind::Position | Kind::End => {}
        }
    }
}

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the server wrote to its standard output and error is written to ftrun's.
#[derive(Debug)]
struct Standard(Shared);

/// Or is compared with the log, and that is all.
#[derive(Debug)]
struct Silent;

impl Outputs for Silent {
    fn produced(&mut self, _: ConnId, _: &[u8]) {}

    fn inherited(&mut self, _: i32, _: &[u8]) {}
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
                state.told.take(&record);
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
    let live_after = args.live_after;
    let manner = super::manner(&args.layer);
    let (driver, told) = replay(args, false)?;
    if live_after.is_some() {
        return live(driver, manner);
    }
    let last = format!("replayed {} records, identical\n", told.records);
    std::io::stderr().write_all(last.as_bytes()).context("the result cannot be written to standard error")?;
    Ok(Exit::Success)
}

/// Follows a recording to its end, or as far as it is to be followed. Says what it was about, and what became of the process.
pub(super) fn replay(args: Replay, silent: bool) -> Result<(Driver, Told)> {
    let cpu = super::processor(args.cpu, 0);
    let reader = Reader::open(&args.directory)?;
    let pinned = super::Pinned::on(cpu);
    let restored = restore::restore(reader.manifest(), reader.content(), cpu)?;
    drop(pinned);
    ending::with_us(restored.stopped.pid(), Bond::Traced, None)?;
    let state = Shared::default();
    let recording = Recording { reader, limit: args.live_after, state: Arc::clone(&state) };
    let outputs: Box<dyn Outputs> = if silent { Box::new(Silent) } else { Box::new(Standard(Arc::clone(&state))) };
    let manner = super::manner(&args.layer);
    let mut driver = Driver::new(restored, manner, Box::new(recording), Arc::default(), outputs)?;
    let _pinned = super::Pinned::on(cpu);
    let run = driver.run();
    let State { told, tail, failed, .. } = std::mem::take(&mut *lock(&state));
    run?;
    if let Some(error) = failed {
        return Err(error);
    }
    if args.live_after.is_some() {
        return Ok((driver, told));
    }
    match tail {
        Some(Tail::Ended) => {}
        Some(Tail::Open) => say!("the log ends while the server runs: its recorder was stopped"),
        Some(Tail::Torn { lsn, bytes }) => {
            say!("the log is cut in the frame at LSN {lsn} ({bytes} bytes left over): its recorder was killed");
        }
        None => bail!("the log has no end"),
    }
    super::tell_of(driver.looks());
    Ok((driver, told))
}

//! `ftrun record`: a program and its log, without backup and proxy.

use anyhow::{Context, Result};
use common::ids::{Epoch, Lsn};
use common::log::directory::Writer;
use common::log::frame;
use common::snapshot::MemoryStore;
use tracer::capture::{self, About};
use tracer::launch::Command;
use tracer::pipeline::{Pipeline, Producer};
use tracer::recorder::{Ending, Recorder};
use tracer::{ship, start};

use crate::args::Record;
use crate::exit::Exit;

const SEGMENT_LEN: u64 = 64 << 20;
/// A recording has one epoch: nobody else acts for it.
const EPOCH: Epoch = Epoch(1);

pub fn run(args: Record) -> Result<Exit> {
    let cpu = super::processor(args.cpu, 0);
    super::catch_signals()?;
    let command = Command { argv: args.server.clone(), env: std::env::vars_os().collect(), cpu };
    let pinned = super::Pinned::on(cpu);
    let started = start::start(&command, EPOCH)?;
    let mut contents = MemoryStore::default();
    let about = About { log_id: super::random(), lsn: Lsn(0), command: args.server };
    let (stopped, manifest) = capture::capture(started.stopped, &started.kernel, about, &mut contents)?;
    let (patch, sites) = start::patch(&stopped)?;
    drop(pinned);
    let writer = Writer::create(&args.output, &manifest, &contents, SEGMENT_LEN)
        .with_context(|| format!("the recording cannot be written to {}", args.output.display()));
    let writer = match writer {
        Ok(writer) => writer,
        Err(error) => {
            super::end_process(stopped);
            return Err(error);
        }
    };
    drop(contents);
    let pipeline = Pipeline::default();
    std::thread::scope(|scope| {
        let shipper = scope.spawn(|| ship(&pipeline, writer));
        let _pinned = super::Pinned::on(cpu);
        super::forward_signals(stopped.pid());
        let pid = stopped.pid();
        let mut producer = Producer(&pipeline);
        let mut recorder = Recorder::new(started.kernel, &mut producer, None, sites);
        let ending = recorder
            .learn_file_areas(pid)
            .map_err(anyhow::Error::from)
            .and_then(|()| Ok(recorder.note(&patch)?))
            .and_then(|()| Ok(recorder.run(stopped, 0)?));
        if ending.is_err() {
            super::kill_and_reap(pid);
        }
        pipeline.close();
        let shipped = shipper.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the log writer panicked")));
        let ending = ending?;
        shipped?;
        Ok(match ending {
            Ending::Ended(status) => Exit::Server(status),
            Ending::Killed => Exit::Server(libc::SIGKILL),
        })
    })
}

/// Writes the log as it grows.
fn ship(pipeline: &Pipeline, mut writer: Writer) -> Result<()> {
    loop {
        let Some(batch) = pipeline.take(ship::PATIENCE_OF_INPUT) else { continue };
        if batch.bytes.is_empty() {
            return Ok(());
        }
        let written = frame::seal(EPOCH, batch.first, super::monotonic_ns(), &batch.bytes)
            .map_err(anyhow::Error::from)
            .and_then(|sealed| Ok(writer.append(&sealed)?));
        if let Err(error) = written {
            pipeline.fail(error.to_string());
            return Err(error);
        }
    }
}

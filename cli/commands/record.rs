//! `ftrun record`: a program and its log, without backup and proxy.

use anyhow::{Result, anyhow};
use common::ids::{Epoch, Lsn};
use common::log::directory::Writer;
use common::log::sealer::Sealer;
use common::snapshot::MemoryStore;
use tracer::capture::{self, About};
use tracer::interceptor::patches::Patches;
use tracer::launch::Command;
use tracer::pipeline::{Pipeline, Producer};
use tracer::recorder::{Ending, Recorder};
use tracer::{ship, start};

use crate::args::Record;
use crate::ending::{self, Bond};
use crate::exit::Exit;

const SEGMENT_LEN: u64 = 64 << 20;
/// A recording has one epoch: nobody else acts for it.
const EPOCH: Epoch = Epoch(1);

pub fn run(args: Record) -> Result<Exit> {
    Ok(match record(args)? {
        Ending::Ended(status) => Exit::Server(status),
        Ending::Killed => Exit::Server(libc::SIGKILL),
    })
}

/// Runs the program to its end; how that was.
pub(super) fn record(args: Record) -> Result<Ending> {
    let cpu = super::processor(args.cpu, 0);
    super::catch_signals(false)?;
    let command = Command { argv: args.server.clone(), env: std::env::vars_os().collect(), cpu };
    let pinned = super::Pinned::on(cpu);
    let started = start::start(&command, EPOCH)?;
    ending::with_us(started.stopped.pid(), Bond::Traced, None)?;
    let mut contents = MemoryStore::default();
    let about = About { log_id: super::random(), lsn: Lsn(0), command: args.server };
    let (stopped, manifest) = capture::capture(started.stopped, &started.kernel, about, &mut contents)?;
    let start::Patched { stopped, record: patch, sites, held } = start::patch(stopped)?;
    drop(pinned);
    // As text: what cannot be written is no bad log.
    let writer = Writer::create(&args.output, &manifest, &contents, SEGMENT_LEN)
        .map_err(|error| anyhow!("the recording cannot be begun: {error}"))?;
    drop(contents);
    let pipeline = Pipeline::into_file();
    std::thread::scope(|scope| {
        let shipper = scope.spawn(|| {
            if let Err(error) = ship(&pipeline, Sealer::new(EPOCH, args.compress.compress), writer) {
                ending::now(
                    Exit::Failed,
                    format_args!("the recording cannot be written, the server is ended: {error}"),
                );
            }
        });
        let _pinned = super::Pinned::on(cpu);
        super::forward_signals(stopped.pid());
        let pid = stopped.pid();
        let mut producer = Producer(&pipeline);
        let mut recorder = Recorder::new(started.kernel, &mut producer, None, sites).with_interceptor(
            &started.shared,
            super::manner(&args.layer),
            Patches::default(),
        );
        recorder.hold(held);
        let ending = recorder
            .learn_file_areas(pid)
            .map_err(anyhow::Error::from)
            .and_then(|()| Ok(recorder.note(&patch)?))
            .and_then(|()| Ok(recorder.run(stopped, 0)?));
        super::forget_signals();
        pipeline.close();
        shipper.join().map_err(|_| anyhow!("the log writer panicked"))?;
        if ending.is_ok() {
            ending::has_ended(pid);
        }
        ending
    })
}

/// Writes the log as it grows.
fn ship(pipeline: &Pipeline, mut sealer: Sealer, mut writer: Writer) -> Result<()> {
    loop {
        let Some(batch) = pipeline.take(ship::PATIENCE_OF_INPUT) else { continue };
        if batch.bytes.is_empty() {
            return Ok(());
        }
        writer.append(sealer.seal(batch.first, super::monotonic_ns(), &batch.bytes)?)?;
    }
}

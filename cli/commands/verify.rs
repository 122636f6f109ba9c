//! `ftrun verify`: a program is recorded and the recording replayed; everything that a replica can compare is compared.

use std::fs::DirBuilder;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use common::log::economy::Compress;
use tracer::memory_check::MemoryCheck;
use tracer::recorder::Ending;
use tracer::say;

use super::replay::Told;
use super::{record, replay};
use crate::args::{CompressOption, Record, Replay, Verify};
use crate::ending;
use crate::exit::Exit;

/// Records after which memory is compared, unless something else is asked for.
const DENSE: MemoryCheck = MemoryCheck::Every(1000);

pub fn run(args: Verify) -> Result<Exit> {
    let Verify { output, cpu, mut layer, server } = args;
    if [MemoryCheck::Never, MemoryCheck::AUTO].contains(&layer.memory_check) {
        layer.memory_check = DENSE;
    }
    let directory = match &output {
        Some(directory) => directory.clone(),
        None => scratch()?,
    };
    let compress = CompressOption { compress: Compress::Auto };
    let ended = record::record(Record { output: directory.clone(), cpu, layer: layer.clone(), compress, server })?;
    let replayed = replay::replay(Replay { directory: directory.clone(), live_after: None, cpu, layer }, true);
    if replayed.is_err() {
        keep(&directory);
    }
    let (_, told) = replayed?;
    let line = format!("{}\n", summary(&told, ended));
    std::io::stderr().write_all(line.as_bytes()).context("the result cannot be written to standard error")?;
    Ok(Exit::Success)
}

/// A directory of this process alone, removed when it ends.
fn scratch() -> Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("ftrun-verify-{:016x}", super::random()));
    ending::with_file(&directory, || DirBuilder::new().mode(0o700).create(&directory))
        .with_context(|| format!("the directory {} for the recording cannot be made", directory.display()))?;
    Ok(directory)
}

fn keep(directory: &Path) {
    ending::keep_file(directory);
    say!("the recording is kept: ftrun replay {}", directory.display());
}

fn summary(told: &Told, ended: Ending) -> String {
    let Told { records, calls, signals, instructions, looks, pages, at_end } = told;
    let end = match (ended, at_end) {
        (_, Some(pages)) => format!("{pages} of them, all that can be read, at its last call"),
        (Ending::Ended(status), None) if libc::WIFSIGNALED(status) => {
            format!("none at its end, by signal {}", libc::WTERMSIG(status))
        }
        (_, None) => "none at its end, as it was killed".to_owned(),
    };
    format!(
        "verified {records} records ({calls} calls, {signals} signals, {instructions} instructions) and memory {looks} times \
         ({pages} pages, {end}), identical"
    )
}

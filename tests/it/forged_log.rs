//! A log that is not what was recorded: every flipped bit is found and said, and a log that ends early replays as far
//! as it goes or is refused. Never a panic, never a signal, never a silent pass.
//!
//! Positions are drawn at random. `FTRUN_SEED` repeats the draw that a failure prints.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::child::{Ended, Outcome, run};
use crate::guest::{FTRUN, Guest, command};
use crate::support::rng::{Rng, seed};

const FLIPS: u32 = 300;
const TRUNCATIONS: u32 = 100;
/// Exit status of a Rust program that panics.
const PANICKED: i32 = 101;

/// A recording of the smallest guest, compressed, replayed once to see that it is whole.
struct Recording {
    scratch: TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
    stdout: Vec<u8>,
    records: u64,
}

impl Recording {
    fn of(name: &str) -> Self {
        let guest = Guest::built(name);
        let scratch = tempfile::tempdir().expect("a scratch directory can be made");
        let log = scratch.path().join("log");
        let mut record = command(Path::new(FTRUN), scratch.path(), None);
        run(record.args(["record", "--compress", "always", "-o"]).arg(&log).arg("--").arg(&guest.program))
            .expect(guest.outcome);
        let mut files = Vec::new();
        read_files(&log, &mut files);
        assert!(!files.is_empty(), "a recording has files");
        let mut recording = Self { scratch, files, stdout: Vec::new(), records: 0 };
        let whole = recording.replay();
        whole.expect(Outcome::Exit(0));
        recording.records = replayed_records(&whole).unwrap_or_else(|| whole.fail("it says not how much was replayed"));
        recording.stdout = whole.stdout;
        recording
    }

    fn replay(&self) -> Ended {
        let mut replay = command(Path::new(FTRUN), self.scratch.path(), None);
        run(replay.arg("replay").arg(self.scratch.path().join("log")))
    }

    /// Replays with this content in one file, which is put right afterwards.
    fn replay_with(&self, path: &Path, original: &[u8], content: &[u8]) -> Ended {
        fs::write(path, content).expect("a file of the log can be written");
        let ended = self.replay();
        fs::write(path, original).expect("a file of the log can be written");
        ended
    }

    /// A file that is not empty, and a position in it: every second time any file, else one in proportion to its size.
    fn draw(&self, random: &mut Rng) -> (&Path, &[u8], usize) {
        let files: Vec<_> = self.files.iter().filter(|(_, content)| !content.is_empty()).collect();
        let total: usize = files.iter().map(|(_, content)| content.len()).sum();
        if random.below(2) == 0 {
            let (path, content) = files[random.index(files.len())];
            return (path, content, random.index(content.len()));
        }
        let mut at = random.index(total);
        for (path, content) in files {
            if at < content.len() {
                return (path, content, at);
            }
            at -= content.len();
        }
        unreachable!("the position lies within the sum of the lengths");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let recording = Recording::of("static_smallest");
    let seed = seed().expect("a seed");
    let mut random = Rng::new(seed);
    for _ in 0..FLIPS {
        let (path, original, at) = recording.draw(&mut random);
        let bit = random.below(8);
        let mut forged = original.to_vec();
        forged[at] ^= 1 << bit;
        let ended = recording.replay_with(path, original, &forged);
        if let Err(wrong) = refused(&ended) {
            let (path, length) = (path.display(), original.len());
            ended.fail(&format!(
                "{wrong}, with bit {bit} of byte {at} of {length} flipped in {path}, FTRUN_SEED={seed}"
            ));
        }
    }
}

#[test]
fn a_truncated_log_is_a_prefix_or_an_error() {
    let recording = Recording::of("static_smallest");
    let seed = seed().expect("a seed");
    let mut random = Rng::new(seed);
    let empty = recording.files.iter().map(|(path, content)| (path.as_path(), content.as_slice(), 0));
    let drawn: Vec<_> = (0..TRUNCATIONS).map(|_| recording.draw(&mut random)).collect();
    for (path, original, at) in empty.chain(drawn) {
        let ended = recording.replay_with(path, original, &original[..at]);
        if let Err(wrong) = refused(&ended).or_else(|_| a_prefix(&recording, &ended, original.len() == at)) {
            let (path, length) = (path.display(), original.len());
            ended.fail(&format!("{wrong}, with {path} cut from {length} to {at} bytes, FTRUN_SEED={seed}"));
        }
    }
}

#[test]
fn a_missing_file_is_a_prefix_or_an_error() {
    let recording = Recording::of("static_smallest");
    for (path, original) in &recording.files {
        fs::remove_file(path).expect("a file of the log can be removed");
        let ended = recording.replay();
        fs::write(path, original).expect("a file of the log can be written");
        if let Err(wrong) = refused(&ended).or_else(|_| a_prefix(&recording, &ended, original.is_empty())) {
            ended.fail(&format!("{wrong}, without {}", path.display()));
        }
    }
}

/// The replay ended by itself with an error of its own that it said, and claimed nothing.
fn refused(ended: &Ended) -> Result<(), String> {
    let lines = ended.stderr_lines();
    if lines.iter().any(|line| line.contains("identical")) {
        return Err("a replay claims to be identical".to_owned());
    }
    match ended.outcome {
        Outcome::Exit(0) => Err("a replay passes silently".to_owned()),
        Outcome::Exit(PANICKED) => Err("a replay panics".to_owned()),
        Outcome::Signal(signal) => Err(format!("a replay dies by signal {signal}")),
        Outcome::Exit(_) if !lines.iter().any(|line| line.starts_with("ftrun:")) => {
            Err("a replay fails and says not why".to_owned())
        }
        Outcome::Exit(_) => Ok(()),
    }
}

/// The replay ended well, replayed less than all (unless nothing was taken away) and printed nothing else.
fn a_prefix(recording: &Recording, ended: &Ended, whole: bool) -> Result<(), String> {
    if ended.outcome != Outcome::Exit(0) {
        return refused(ended);
    }
    let replayed = replayed_records(ended).ok_or("the last line on stderr does not say how much was replayed")?;
    if replayed > recording.records || (replayed == recording.records && !whole) {
        return Err(format!("{replayed} of {} records are said to be replayed", recording.records));
    }
    if !recording.stdout.starts_with(&ended.stdout) {
        return Err("the output is no prefix of what was recorded".to_owned());
    }
    Ok(())
}

/// N of a last line that begins with `replayed N`.
fn replayed_records(ended: &Ended) -> Option<u64> {
    ended.stderr_lines().last()?.strip_prefix("replayed ")?.split(' ').next()?.parse().ok()
}

/// All files below a directory, in the order of their names.
fn read_files(directory: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("cannot read {}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("its entries can be read").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_files(&path, files);
        } else {
            let content = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            files.push((path, content));
        }
    }
}

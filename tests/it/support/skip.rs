//! Tests that cannot run on this machine: each says so and is counted, none passes silently.

use std::fs::File;
use std::io::Write as _;

/// Where `tests/run` collects what was skipped.
const COLLECTED: &str = "FTRUN_TEST_SKIPPED";

/// Says that the calling test, or part of it, does not run here, and why.
pub(crate) fn skipped(test: &str, reason: &str) {
    let line = format!("skipped: {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os(COLLECTED) {
        // One write of a line to a file in append mode: tests of other processes write whole lines, too.
        let file = File::options().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("what is skipped can be counted");
    }
}

//! Programs in C that measure themselves and say how many nanoseconds it took.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Builds one; its path.
pub(crate) fn built(name: &str, source: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (code, program) = (dir.join(name).with_extension("c"), dir.join(name));
    std::fs::write(&code, source).expect("the target directory can be written");
    let built = Command::new("cc").args(["-O2", "-static", "-o"]).args([&program, &code]).status().expect("cc runs");
    assert!(built.success(), "the program {name} is compiled");
    program
}

/// Runs one, by itself or under something; what it says.
pub(crate) fn told(command: &mut Command) -> Duration {
    let output = command.stderr(Stdio::inherit()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?} ends with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    Duration::from_nanos(text.trim().parse().expect("the program says a number"))
}

//! The fast layer where it is hard: programs that look at what a patched site could get wrong. Each runs natively, is recorded with
//! each layer, and each recording is replayed with each layer: whoever takes a call, the program cannot tell, nor can the log.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tracer::instructions::Trap;

use crate::child::{Ended, Outcome, run};
use crate::conformance::{identical_records, own_lines_removed, same};
use crate::guest::{FTRUN, Guest, command, library, sources};

const LAYERS: [&str; 3] = ["fast", "complete", "mixed"];

macro_rules! guests {
    ($($name:ident)*) => {
        const GUESTS: &[&str] = &[$(stringify!($name)),*];

        mod guest {
            $(#[test] fn $name() { super::is_right(stringify!($name), &super::LAYERS); })*
        }
    };
}

guests! {
    alignment all_descriptors counter_registers counter_storm faults generated interrupted loaded moved_code own_memory registers sites_no_pie sites_pie
    sites_static sites_static_pie sizes storm to_itself vector_over_itself
}

#[test]
fn every_guest_is_listed() {
    let entries = fs::read_dir(sources().join("inside")).expect("the guests' directory can be read");
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    let found: BTreeSet<String> = paths
        .filter(|path| path.extension() == Some(OsStr::new("c")))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    let listed: BTreeSet<String> = GUESTS.iter().chain(&["counter", "huge"]).map(|&name| name.to_owned()).collect();
    assert_eq!(listed, found, "the list in this file and the *.c files in tests/guests/inside differ");
}

/// Calls that were made, and instructions that were answered, in process.
fn fast_calls(log: &Path) -> usize {
    let mut dump = Command::new(FTRUN);
    let dump = run(dump.args(["dump", "--json"]).arg(log));
    dump.expect(Outcome::Exit(0));
    String::from_utf8_lossy(&dump.stdout).lines().filter(|line| line.contains("\"fast\":true")).count()
}

/// As the others, with fewer replays of what is long.
#[test]
fn huge() {
    is_right("huge", &["fast", "complete"]);
}

#[test]
fn counter() {
    is_right("counter", &["fast", "complete"]);
}

/// What Patch records say of where rdtsc and rdtscp trap, in the order of the log.
fn traps_of_counter(program: &[&OsStr]) -> Vec<u64> {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let log = scratch.path().join("log");
    let mut record = command(Path::new(FTRUN), scratch.path(), None);
    run(record.args(["record", "-o"]).arg(&log).arg("--").args(program)).expect(Outcome::Exit(0));
    let mut dump = Command::new(FTRUN);
    let dump = run(dump.args(["dump", "--json"]).arg(&log));
    dump.expect(Outcome::Exit(0));
    let text = String::from_utf8_lossy(&dump.stdout).into_owned();
    let all = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("lines of JSON"));
    let patches = all.filter(|record| record["kind"] == "patch");
    patches
        .map(|patch| patch["number"].as_u64().expect("a number"))
        .filter(|&trap| trap != Trap::AsBefore as u64)
        .collect()
}

/// A server that cannot have an rdtsc that nobody has seen is spared what it costs to have all of them trap.
#[test]
fn the_counter_traps_everywhere_only_where_it_must() {
    let (at_sites, everywhere) = (Trap::AtSites as u64, Trap::Everywhere as u64);
    let guest = |name: &str| traps_of_counter(&[Guest::built(name).program.as_os_str()]);
    assert_eq!(guest("clocks"), [at_sites]);
    assert_eq!(guest("counter_in_files"), [at_sites]);
    assert_eq!(guest("counter_generated"), [at_sites, everywhere, at_sites, everywhere]);
    for real in ["/usr/sbin/nginx -v", "/usr/bin/perl -e 1", "/usr/bin/python3 -c import\u{a0}ssl"] {
        let words: Vec<String> = real.split(' ').map(|word| word.replace('\u{a0}', " ")).collect();
        let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        assert_eq!(traps_of_counter(&words), [at_sites], "{real}");
    }
}

fn is_right(name: &str, layers: &[&str]) {
    let guest = Guest::built(&format!("inside/{name}"));
    let library = library();
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let directory = |name: &str| -> PathBuf {
        let path = scratch.path().join(name);
        fs::create_dir(&path).expect("a scratch directory can be made");
        path
    };
    let native = guest.refused.is_none().then(|| {
        let native = run(command(&guest.program, &directory("native"), None).env("GUEST_LIBRARY", &library));
        native.expect(guest.outcome);
        native
    });
    for &layer in layers {
        let (log, work) = (scratch.path().join("log"), directory("work"));
        let mut record = command(Path::new(FTRUN), &work, None);
        record.env("GUEST_LIBRARY", &library).args(["record", "--layer", layer, "-o"]).arg(&log);
        let recorded = run(record.arg("--").arg(&guest.program));
        recorded.expect(guest.outcome);
        if let (true, Some(native)) = (guest.fixed_output, &native) {
            same(&recorded, "stdout", &native.stdout, &recorded.stdout);
            same(&recorded, "stderr", &native.stderr, &own_lines_removed(&recorded.stderr).concat());
        }
        if let Some(refused) = &guest.refused {
            let line = format!("ftrun: refused {refused}: ");
            if !recorded.stderr_lines().iter().any(|found| found.starts_with(&line)) {
                recorded.fail(&format!("no line on stderr begins with `{line}`"));
            }
        }
        let fast = fast_calls(&log);
        match layer {
            "fast" => {
                assert!(fast >= guest.fast, "{fast} calls and instructions in process, expected {} or more", guest.fast)
            }
            "complete" => assert_eq!(fast, 0, "nothing is done in process"),
            _ => {}
        }
        fs::remove_dir_all(&work).expect("the recorded run's directory can be removed");
        for replaying in layers {
            let mut replay = command(Path::new(FTRUN), scratch.path(), None);
            let replayed = run(replay.args(["replay", "--layer", replaying]).arg(&log));
            is_identical(&recorded, &replayed);
        }
        fs::remove_dir_all(&log).expect("the log can be removed");
    }
}

fn is_identical(recorded: &Ended, replayed: &Ended) {
    replayed.expect(Outcome::Exit(0));
    if identical_records(replayed).unwrap_or(0) == 0 {
        replayed.fail("the last line on stderr is not `replayed N records, identical`");
    }
    same(replayed, "stdout", &recorded.stdout, &replayed.stdout);
}

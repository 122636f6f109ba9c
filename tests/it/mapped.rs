//! Files that a server writes by memory: who else may have them open, and a real program that does it. `conformance` has the
//! guests, `failover::files` what comes after the primary.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use crate::child::{Ended, Outcome, run};
use crate::conformance::identical_records;
use crate::guest::{FTRUN, Guest, command};

fn recorded(work: &Path, log: &Path, server: &[OsString]) -> Ended {
    run(command(Path::new(FTRUN), work, None).args(["record", "-o"]).arg(log).arg("--").args(server))
}

/// Replays where nothing is of what the recorded run had; it must print the same.
fn replayed(recorded: &Ended, log: &Path) {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let replayed = run(command(Path::new(FTRUN), scratch.path(), None).arg("replay").arg(log));
    replayed.expect(Outcome::Exit(0));
    assert!(identical_records(&replayed).is_some(), "{:?}", replayed.stderr_lines());
    assert_eq!(replayed.stdout.escape_ascii().to_string(), recorded.stdout.escape_ascii().to_string());
    let left: Vec<_> = fs::read_dir(scratch.path()).expect("it can be read").collect();
    assert!(left.is_empty(), "a replay has made {left:?}");
}

/// What others write there would be no record, and what they see there is held back by nobody.
#[test]
fn a_file_that_another_process_writes_is_refused() {
    let guest = Guest::built("driven/map_for_writing");
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let path = scratch.path().join("file");
    fs::write(&path, [b'x'; 8192]).expect("the file can be written");
    let server = [guest.program.into_os_string(), path.clone().into_os_string()];
    let ran = |name: &str, expected: i32| {
        let log = scratch.path().join(name);
        let recorded = recorded(scratch.path(), &log, &server);
        recorded.expect(Outcome::Exit(expected));
        replayed(&recorded, &log);
        recorded.stderr_lines().join("\n")
    };
    assert!(!ran("alone", 0).contains("refused"));
    let writer = File::options().append(true).open(&path).expect("the file can be opened");
    let own = format!("process {}, ", std::process::id());
    let said = ran("writer", libc::EACCES);
    for call in [
        "mmap with MAP_SHARED and PROT_WRITE of a file: ",
        "mprotect with PROT_WRITE of a file mapped with MAP_SHARED: ",
    ] {
        let line = said.lines().find(|line| line.contains(&format!("refused {call}{own}")));
        assert!(line.is_some_and(|line| line.contains("has it open for writing")), "{said}");
    }
    drop(writer);
    let reader = File::open(&path).expect("the file can be opened");
    assert!(!ran("reader", 0).contains("refused"));
    drop(reader);
    // The bytes that the server wrote by memory, three times.
    assert_eq!(fs::read(&path).expect("it can be read")[..8], *b"y3xxxxxx");
}

/// Its write-ahead log has an index that is written by memory.
#[test]
fn sqlite_in_wal_mode() {
    const SCRIPT: &str = "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=50;
        CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, text TEXT, more BLOB);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
            INSERT INTO t(text, more) SELECT 'row ' || i, zeroblob(i % 700) FROM n;
        UPDATE t SET text = text || '!' WHERE id % 3 = 0; DELETE FROM t WHERE id % 7 = 0;
        CREATE INDEX IF NOT EXISTS by_text ON t(text); SELECT count(*), sum(length(more)), max(text) FROM t;
        PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t(text) VALUES ('last');
        SELECT id, text FROM t ORDER BY text LIMIT 5; PRAGMA integrity_check;";
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let directory = |name: &str| {
        let path = scratch.path().join(name);
        fs::create_dir(&path).expect("a scratch directory can be made");
        path
    };
    let (alone, work, log) = (directory("native"), directory("recorded"), scratch.path().join("log"));
    let shell = ["/usr/bin/sqlite3", "-batch", "db", SCRIPT].map(OsString::from);
    // The second run finds a database.
    for round in 0..2 {
        let native = run(command(Path::new(&shell[0]), &alone, None).args(&shell[1..]));
        native.expect(Outcome::Exit(0));
        let log = log.with_extension(round.to_string());
        let recorded = recorded(&work, &log, &shell);
        recorded.expect(Outcome::Exit(0));
        assert_eq!(recorded.stdout.escape_ascii().to_string(), native.stdout.escape_ascii().to_string());
        assert!(
            !recorded.stderr_lines().iter().any(|line| line.contains("refused mmap")),
            "{:?}",
            recorded.stderr_lines()
        );
        replayed(&recorded, &log);
        let dump = run(Command::new(FTRUN).args(["dump", "--json"]).arg(&log));
        let maps = |line: &&str| line.contains("\"mmap\"") && line.contains("File");
        let text = String::from_utf8_lossy(&dump.stdout).into_owned();
        assert!(text.lines().any(|line| maps(&line)), "no file was mapped with MAP_SHARED");
    }
    let size = |directory: &Path| fs::metadata(directory.join("db")).expect("the database").size();
    assert_eq!(size(&work), size(&alone));
}

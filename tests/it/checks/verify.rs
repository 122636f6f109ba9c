//! `ftrun verify`: real programs are recorded, replayed, and compared whole.

use std::fs;
use std::path::Path;

use crate::child::{self, Ended, Outcome};
use crate::guest::{FTRUN, command};
use crate::support::program::Exit;
use crate::support::skip;

use super::memory::meddled;

fn verified(directory: &Path, options: &[&str], server: &[&str]) -> Ended {
    let work = if directory.is_dir() { directory } else { Path::new("/") };
    let mut verify = command(Path::new(FTRUN), work, None);
    verify.env("TMPDIR", directory);
    child::run(verify.arg("verify").args(options).arg("--").args(server))
}

/// Directories that verify has made for itself.
fn recordings(directory: &Path) -> usize {
    let names = fs::read_dir(directory).expect("it is there").map(|entry| entry.expect("an entry").file_name());
    names.filter(|name| name.to_string_lossy().starts_with("ftrun-verify-")).count()
}

/// The number before this word in the last line.
fn number(ended: &Ended, word: &str) -> u64 {
    let line = ended.stderr_lines().pop().unwrap_or_default();
    let before = line.split(word).next().unwrap_or_default().trim_end();
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or_else(|_| ended.fail(&format!("no number before `{word}` in the last line")))
}

/// It is identical in every layer, with a look at memory now and then, and says what was compared.
fn identical(server: &[&str], prints: &str) {
    for layer in ["fast", "complete", "mixed"] {
        let scratch = tempfile::tempdir().expect("a scratch directory can be made");
        let ended = verified(scratch.path(), &["--layer", layer, "--memory-check", "200"], server);
        ended.expect(Outcome::Exit(0));
        let line = ended.stderr_lines().pop().unwrap_or_default();
        assert!(line.starts_with("verified ") && line.ends_with("at its last call), identical"), "{layer}: {line}");
        assert!(number(&ended, " records") > number(&ended, " calls") && number(&ended, " calls") > 100, "{line}");
        assert!(number(&ended, " times") >= 2 && number(&ended, " pages") > 100, "{layer}: {line}");
        assert!(String::from_utf8_lossy(&ended.stdout).contains(prints), "{layer}: what the program prints");
        assert_eq!(recordings(scratch.path()), 0, "{layer}: the recording is removed");
    }
}

#[test]
fn python() {
    let program = "
import json, os, random, time
table = {}
for i in range(400):
    table[i] = os.getpid() * random.random() + time.time()
    os.stat('/')
print(len(json.dumps(table)) > 4000, 'done')
";
    identical(&["/usr/bin/python3", "-c", program], "True done");
}

#[test]
fn lua() {
    let program = "
local all = {}
for i = 1, 400 do all[i] = os.time() .. tostring(math.random()); local f = io.open('/proc/version'); f:read('a'); f:close() end
print(#table.concat(all) > 4000, 'done')
";
    identical(&["/usr/bin/lua5.4", "-e", program], "true\tdone");
}

#[test]
fn perl() {
    let program = "
my %all; for my $i (1..400) { $all{$i} = time() . rand(); my @s = stat('/'); }
print length(join('', values %all)) > 4000 ? 'done' : 'short', qq(\\n);
";
    identical(&["/usr/bin/perl", "-e", program], "done");
}

#[test]
fn sqlite() {
    if !Path::new("/usr/bin/sqlite3").exists() {
        return skip("checks::verify::sqlite", "there is no /usr/bin/sqlite3");
    }
    let statements = "create table t(a integer primary key, b text);
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) insert into t select i, hex(randomblob(20)) from n;
        create index b on t(b); delete from t where a % 3 = 0; select 'rows ' || count(*) from t;";
    identical(&["/usr/bin/sqlite3", "file.db", statements], "rows 1334");
}

/// What the command ends with is its own affair, and what cannot be compared is said.
#[test]
fn however_it_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let failed = verified(scratch.path(), &[], &["/bin/sh", "-c", "exit 3"]);
    failed.expect(Outcome::Exit(0));
    assert!(failed.stderr_lines().pop().unwrap_or_default().contains("at its last call), identical"));
    let killed = verified(scratch.path(), &[], &["/bin/sh", "-c", "kill -TERM $$"]);
    killed.expect(Outcome::Exit(0));
    let line = killed.stderr_lines().pop().unwrap_or_default();
    assert!(line.ends_with("none at its end, by signal 15), identical"), "{line}");
    verified(scratch.path(), &[], &["/no/such/program"]).expect(Outcome::Exit(127));
    assert_eq!(recordings(scratch.path()), 0, "nothing is left");
}

#[test]
fn there_is_no_room_for_the_recording() {
    let scratch = tempfile::tempdir().unwrap();
    let ended = verified(&scratch.path().join("missing"), &[], &["/bin/true"]);
    ended.expect(Outcome::Exit(125));
    let line = ended.stderr_lines().pop().unwrap_or_default();
    assert!(line.starts_with("ftrun: the directory ") && line.contains(" for the recording cannot be made"), "{line}");
}

/// A recording that was asked for stays.
#[test]
fn the_recording_can_be_kept() {
    let scratch = tempfile::tempdir().unwrap();
    verified(scratch.path(), &["-o", "log"], &["/bin/true"]).expect(Outcome::Exit(0));
    child::run(command(Path::new(FTRUN), scratch.path(), None).args(["replay", "log"])).expect(Outcome::Exit(0));
}

/// A program whose memory somebody else changes: the first divergence is told, and its recording stays.
#[test]
fn a_divergence_is_told() {
    let scratch = tempfile::tempdir().unwrap();
    let mut verify = command(Path::new(FTRUN), scratch.path(), None);
    verify.env("TMPDIR", scratch.path()).args(["verify", "--memory-check", "1"]);
    let (mut program, _) = meddled(&scratch, verify).unwrap();
    assert_eq!(program.wait().unwrap(), Exit::Code(123));
    let report = String::from_utf8(program.stderr().unwrap()).unwrap();
    for part in ["the recording is kept: ftrun replay ", "divergence at LSN ", "the first page that differs is 0x"] {
        assert!(report.contains(part), "no {part:?}:\n{report}");
    }
    assert_eq!(recordings(scratch.path()), 1, "the recording is there");
}

//! docs/conformance.md is made from the tables. `FTRUN_UPDATE_DOCS=1 tests/run programs::document` writes it anew.

use std::fmt::Write as _;
use std::fs;

use super::expected::Expected;
use super::{Program, When, python, tools};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conformance.md");

const BEGINNING: &str = "\
# Programs that are no servers

Made from the tables in `tests/it/programs` by a test, which fails when this file is stale; `FTRUN_UPDATE_DOCS=1 tests/run
programs::document` writes it.

`tests/run programs::` runs each of them three times: natively, where it must end with status 0; under `ftrun record`; and
under `ftrun replay`, when the files that it made are gone. *recorded*: it ends with status 0 too. *replayed*: every call is
compared and found identical, and what it writes to standard output and standard error is the same byte for byte. A
recording that fails is replayed and compared like the others, up to its end. Where a program is expected to fail, the test
fails also when it does not any more, or for another reason.

The versions are Debian 12's. Programs with *all* are run with `FTRUN_PROGRAMS=all` only; of the others, those with *each layer*
are run also with `FTRUN_LAYER=complete` and `FTRUN_LAYER=mixed`.
";

const PYTHON: &str = "
## CPython's own tests

Debian's `libpython3.11-testsuite`, each module in one process (`tests/programs/module.py`), without what CPython calls
resources, and without tests that fail when something takes longer than they allow (`MEASURE_TIME` there). A module that fails as a whole is run again without the tests named in its second row;
one that takes more than half a minute as a whole has only that row.

Not in the table, and worth knowing:

- `test_mmap`'s `LargeMmapTests` map sparse files of 2 to 6 GiB: a file is logged when it is mapped, its holes too, which takes
  about 20 s for each GiB.
- `test_signal`'s `test_itimer_virtual` asks for the time until 0.3 s of user time are over, of which a recording spends little:
  recorded and replayed, 1.7 million records, in a minute.
";

const TOOLS: &str = "
## Interpreters, databases, tools

The programs that are run by interpreters are in `tests/programs`.
";

#[test]
fn the_document_says_what_the_tables_say() {
    let made = document();
    if std::env::var_os("FTRUN_UPDATE_DOCS").is_some() {
        fs::write(PATH, &made).expect("docs/conformance.md can be written");
    }
    let found = fs::read_to_string(PATH).unwrap_or_default();
    let differs = made.lines().zip(found.lines()).position(|(a, b)| a != b);
    assert!(made == found, "docs/conformance.md is stale, first at line {differs:?}; see {}", file!());
}

fn document() -> String {
    let mut out = BEGINNING.to_owned();
    for (beginning, programs) in
        [(PYTHON, python::programs().collect::<Vec<_>>()), (TOOLS, tools::programs().collect())]
    {
        out += beginning;
        let recorded = programs.iter().filter(|program| matches!(program.expected, Expected::Identical)).count();
        let count = programs.len();
        let _ = writeln!(out, "\n{count} programs: {recorded} recorded and replayed, {} fail.\n", count - recorded);
        out += "| program | natively | recorded | replayed | why not | when |\n|---|---|---|---|---|---|\n";
        for program in &programs {
            out += &row(program);
        }
    }
    out
}

fn row(program: &Program) -> String {
    let (recorded, replayed, why) = match program.expected {
        Expected::Identical => ("ok", "identical", ""),
        Expected::Fails(failure) => ("fails", "identical up to there", failure.reason),
    };
    let when = match program.when {
        When::Always => "each layer",
        When::OneLayer => "",
        When::All => "all",
    };
    let name = program.name.replace('|', "\\|");
    format!("| {name} | ok | {recorded} | {replayed} | {why} | {when} |\n")
}

//! docs/errors.md and these tests name each other: an error without a test, or a test of an error that is not documented, fails
//! here. (That every exit status is documented is tested beside them, in cli/exit.rs.)

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What stands between backticks and has the form `module::name`.
fn named(catalogue: &str) -> BTreeSet<String> {
    let names = catalogue.split('`').skip(1).step_by(2);
    let is_path = |name: &&str| {
        let mut parts = name.split("::");
        let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        parts.by_ref().take(2).filter(|part| word(part)).count() == 2 && parts.next().is_none()
    };
    names.filter(is_path).map(str::to_owned).collect()
}

/// The tests of the modules beside this one.
fn written() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/errors");
    let mut tests = BTreeSet::new();
    for entry in directory.read_dir().expect("the directory of these tests") {
        let path = entry.expect("an entry").path();
        let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a source");
        for after in text.split("#[test]\nfn ").skip(1) {
            let name = after.split('(').next().unwrap_or_default();
            tests.insert(format!("{module}::{name}"));
        }
    }
    tests
}

#[test]
fn names_every_test_and_no_other() {
    let catalogue =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md")).expect("the catalogue");
    let (named, mut written) = (named(&catalogue), written());
    written.remove("catalogue::names_every_test_and_no_other");
    assert!(written.len() > 50, "only {} tests were found", written.len());
    let unwritten: Vec<_> = named.difference(&written).collect();
    assert!(unwritten.is_empty(), "docs/errors.md names tests that do not exist: {unwritten:?}");
    let unnamed: Vec<_> = written.difference(&named).collect();
    assert!(unnamed.is_empty(), "docs/errors.md does not name: {unnamed:?}");
}

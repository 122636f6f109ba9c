//! The documents say which versions the forms have.

use std::fs;
use std::path::Path;

use ftrun_common::log::frame::FRAME_VERSION;
use ftrun_common::log::segment::SEGMENT_VERSION;
use ftrun_common::snapshot::SNAPSHOT_VERSION;

#[test]
fn the_document_names_the_versions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/log-format.md");
    let text = fs::read_to_string(&path).expect("the document can be read");
    let forms = [
        ("## Frames", u32::from(FRAME_VERSION)),
        ("### Segments", SEGMENT_VERSION),
        ("## Snapshots", SNAPSHOT_VERSION),
    ];
    for (heading, version) in forms {
        let section = text.split_once(&format!("\n{heading} ")).expect("the section is there").1;
        let row = section.lines().find(|line| line.contains("| version, ")).expect("a row tells the version");
        assert!(row.ends_with(&format!("| version, {version} |")), "{heading}: {row}, expected {version}");
    }
}

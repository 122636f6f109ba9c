//! Whatever the bytes are: what reads them refuses them or gives what encodes to the same bytes, takes memory in proportion to
//! what came, and does not panic.
//!
//! `FTRUN_FUZZ_CASES` multiplies the number of cases.

extern crate ftrun_common as common;

mod change;
mod frames;
mod log;
mod messages;
mod meter;
mod records;
mod snapshots;

use proptest::prelude::ProptestConfig;

/// So many cases, times what the environment says.
fn config(cases: u32) -> ProptestConfig {
    let factor =
        std::env::var("FTRUN_FUZZ_CASES").map_or(1, |text| text.parse().expect("FTRUN_FUZZ_CASES is a number"));
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases.saturating_mul(factor)) }
}

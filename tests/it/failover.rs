//! Going live for every kind of kernel object, on real processes.
//!
//! Each test drives a small server of `tests/guests/servers` twice, natively and through the death of its primary, and compares
//! what the client saw byte by byte: see [`service`]. What cannot be the same is written into the test as such. `docs/going-live.md`
//! lists the kinds and the tests that show them.

#![expect(clippy::cast_possible_truncation, reason = "patterns of bytes, and the kernel's 16-bit fields")]

mod anywhere;
mod children;
mod events;
mod exec;
mod files;
mod identity;
mod memory;
mod network;
mod service;
mod signals;
mod timers;
mod trio;
mod waiting;

use anyhow::Result;

/// Fails the test with the whole chain of an error.
#[track_caller]
fn verdict(outcome: Result<()>) {
    if let Err(error) = outcome {
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        panic!("{}", chain.join("\n- because: "));
    }
}

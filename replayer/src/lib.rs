//! The replaying side of ftrun: restore a snapshot, drive the process along the log, compare, go live.
#![deny(unsafe_code)]

pub mod divergence;
pub mod driver;
pub mod restore;

//! ftrun-replayer

pub mod golive;

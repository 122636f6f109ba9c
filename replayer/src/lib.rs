//! ftrun-replayer

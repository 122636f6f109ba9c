//! ftrun-common

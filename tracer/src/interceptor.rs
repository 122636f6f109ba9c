//! The fast layer: code of ftrun's own inside the server's process that makes frequent calls itself and records them, or answers
//! them from the log. See docs/fast-layer.md.

pub mod layout;
pub mod shared;

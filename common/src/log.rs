//! The log around its records: frames on the wire and on disk, segments, the directory that holds a recording.
//!
//! The log itself is one stream of records ([`crate::record`]) and an LSN is a byte offset in it. Frames wrap runs of
//! whole records with what a reader must be able to check: which epoch wrote them, where they belong, and two checksums.
//! Frame and segment headers are no part of the stream: they take up no LSN.

pub mod directory;
pub mod economy;
pub mod frame;
pub mod sealer;
pub mod segment;

//! The replaying side of ftrun: restore a snapshot, drive the process along the log, compare, go live.

pub mod divergence;
pub mod driver;
pub mod golive;
pub mod intake;
pub mod live;
pub mod restore;
pub mod retained;

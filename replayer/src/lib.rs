//! The replaying side of ftrun: restore a snapshot, drive the process along the log, compare, go live.

pub mod bell;
pub mod divergence;
pub mod driver;
pub mod feed;
pub mod golive;
pub mod intake;
pub mod live;
pub mod mapped;
mod progress;
pub mod restore;
pub mod retained;

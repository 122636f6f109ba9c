//! Placing what happens to the server between two of its calls: finding a position worth recording, and coming to it again.
//!
//! The recorder lets the server go on a few instructions from where it was found, up to one that can be watched cheaply
//! ([`near`]), and records the state there ([`state`]). A replica runs until its state is that one ([`watch`]). See
//! docs/placement.md.

pub mod near;
pub mod state;
mod stub;
mod undo;
pub mod watch;

use thiserror::Error;

use crate::inject::InjectError;
use crate::launch::LaunchError;
use crate::ticks::TickError;
use crate::tracee::TraceeError;

/// Why no position could be taken, or come to.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// A call inside of it failed.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// Its memory map could not be read.
    #[error(transparent)]
    Map(#[from] LaunchError),
    /// Its instructions could not be counted.
    #[error(transparent)]
    Ticks(#[from] TickError),
    /// What is mapped could not be looked at.
    #[error("the pages of process {pid}: {error}")]
    Pages {
        /// Process.
        pid: i32,
        /// Why.
        error: std::io::Error,
    },
    /// What it did cannot be undone: the copy of it was killed.
    #[error("the copy of process {pid}, by which it was to be set back, was killed")]
    Copy {
        /// Process.
        pid: i32,
    },
}

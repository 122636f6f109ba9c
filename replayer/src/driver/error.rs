//! What stops a replay.

use thiserror::Error;
use tracer::inject::InjectError;
use tracer::instructions::InstructionError;
use tracer::launch::LaunchError;
use tracer::place::PlaceError;
use tracer::tracee::TraceeError;

use crate::divergence::Divergence;
use crate::feed::FeedError;
use crate::mapped::MappedError;
use crate::restore::RestoreError;

/// Why a log could not be followed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The process did something else.
    #[error("{0}")]
    Diverged(Box<Divergence>),
    /// The process could not be handled.
    #[error("the replica: {0}")]
    Tracee(#[from] TraceeError),
    /// A trapped instruction cannot be carried out.
    #[error(transparent)]
    Instruction(#[from] InstructionError),
    /// A call inside of it failed.
    #[error("the replica: {0}")]
    Inject(#[from] InjectError),
    /// Its memory map could not be read.
    #[error("the replica: {0}")]
    Map(#[from] LaunchError),
    /// It could not be brought to a position.
    #[error("the replica: {0}")]
    Place(#[from] PlaceError),
    /// The program that the server has become could not be put into it.
    #[error("the replica: {0}")]
    Restore(#[from] RestoreError),
    /// Memory that stands for a file.
    #[error("the replica: {0}")]
    Mapped(#[from] MappedError),
    /// The interceptor inside of it says what cannot be.
    #[error("the replica: {0}")]
    Interceptor(#[from] FeedError),
    /// An error before has left it in an unknown state.
    #[error("the replica: its process was lost by an error before")]
    Lost,
    /// The thread that follows it could not be started, or the process not be found.
    #[error("the replica cannot be followed: {0}")]
    Follow(std::io::Error),
}

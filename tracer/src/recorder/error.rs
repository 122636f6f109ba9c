//! What can go wrong, and what of it is the end of the process.

use common::kernel::ModelError;
use common::syscall::Fault;
use thiserror::Error;

use super::{Next, SinkError};
use crate::capture::CaptureError;
use crate::family::FamilyError;
use crate::inject::InjectError;
use crate::instructions::InstructionError;
use crate::launch::LaunchError;
use crate::place::PlaceError;
use crate::ticks::TickError;
use crate::tracee::{self, Event, TraceeError};

/// Why recording ended other than by the end of the server.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// The server wants what ftrun cannot replicate.
    #[error("the server called {what}: ftrun replicates one thread of one process; {advice}")]
    Unsupported {
        /// The call.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// A call inside of it failed.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// What it has become could not be prepared.
    #[error("after exec: {0}")]
    Launch(#[from] LaunchError),
    /// What it has become could not be captured.
    #[error("after exec: {0}")]
    Capture(#[from] CaptureError),
    /// Its memory is not what the call made of it.
    #[error("after {call}: {fault}")]
    Memory {
        /// The call.
        call: &'static str,
        /// Where.
        fault: Fault,
    },
    /// The model does not understand what the kernel did: recording on would be a lie.
    #[error("the kernel-state model cannot follow {call}: {error}")]
    Model {
        /// The call.
        call: String,
        /// Why.
        error: ModelError,
    },
    /// The log cannot be written.
    #[error("the log cannot be written: {0}")]
    Sink(#[from] SinkError),
    /// What the interceptor has put into the ring is no record: the server has written into ftrun's memory.
    #[error("the ring of records in the server's memory is damaged: {0}")]
    Ring(common::record::RecordError),
    /// The interceptor ran into memory that is not there, after it had made a call.
    #[error("signal {signal} in the interceptor at {rip:#x}, between a call and its record")]
    Inside {
        /// SIGSEGV or SIGBUS.
        signal: i32,
        /// Where.
        rip: u64,
    },
    /// A thread of the recorder cannot be started, or the process not be found.
    #[error("the threads that record the server cannot be started: {0}")]
    Thread(std::io::Error),
    /// A signal cannot be placed.
    #[error("a signal cannot be placed: {0}")]
    Place(#[from] PlaceError),
    /// A process that it has started cannot be let go.
    #[error("a process that the server has started: {0}")]
    Family(#[from] FamilyError),
    /// A trapped instruction cannot be carried out.
    #[error(transparent)]
    Instruction(#[from] InstructionError),
    /// The thread that takes records from the ring has failed before.
    #[error("the ring of records in the server's memory was given up before")]
    Lost,
}

/// A process can be killed at any moment: whatever fails then fails because it is dead.
pub(super) fn dead(pid: i32, error: RecordingError) -> Result<Next, RecordingError> {
    if let Some(&TraceeError::Gone { status, .. }) = of_process(&error) {
        return Ok(Next::Dead(status));
    }
    match error {
        // What the record lacks could not be learnt any more.
        RecordingError::Model { .. }
        | RecordingError::Memory { .. }
        | RecordingError::Place(_)
        | RecordingError::Launch(_)
        | RecordingError::Capture(_)
        | RecordingError::Instruction(_)
        | RecordingError::Tracee(TraceeError::Memory { .. })
        | RecordingError::Inject(InjectError::Tracee(TraceeError::Memory { .. }))
            if tracee::has_no_memory(pid) =>
        {
            Ok(Next::Dead(crate::sys::ptrace::wait(pid).map_err(|_| error)?))
        }
        other => Err(other),
    }
}

/// What was wrong with the process, wherever it was found.
pub(super) fn of_process(error: &RecordingError) -> Option<&TraceeError> {
    let of_launch = |error| match error {
        &LaunchError::Tracee(ref error) | &LaunchError::Inject(InjectError::Tracee(ref error)) => Some(error),
        _ => None,
    };
    match error {
        RecordingError::Tracee(error)
        | RecordingError::Instruction(InstructionError::Tracee(error))
        | RecordingError::Inject(InjectError::Tracee(error))
        | RecordingError::Capture(CaptureError::Tracee(error) | CaptureError::Inject(InjectError::Tracee(error)))
        | RecordingError::Place(
            PlaceError::Tracee(error)
            | PlaceError::Inject(InjectError::Tracee(error))
            | PlaceError::Ticks(TickError::Tracee(error)),
        ) => Some(error),
        RecordingError::Launch(error)
        | RecordingError::Capture(CaptureError::Map(error))
        | RecordingError::Place(PlaceError::Map(error)) => of_launch(error),
        _ => None,
    }
}

pub(super) fn unexpected(found: Event) -> TraceeError {
    TraceeError::Unexpected { pid: 0, expected: "a system call or a signal", found: found.name() }
}

//! Exit statuses of ftrun itself. Those of the server pass through.

use std::process::ExitCode;

use replayer::driver::ReplayError;
use replayer::restore::RestoreError;
use tracer::launch::LaunchError;
use tracer::recorder::RecordingError;
use tracer::start::StartError;

/// How ftrun ends. The numbers are part of the interface (docs/errors.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success,
    /// The server's own end: a wait status as of waitpid(2).
    Server(i32),
    /// 121: a log or snapshot is damaged, incomplete or of another version.
    BadLog,
    /// 122: the server does what ftrun cannot replicate, or this machine cannot stand in for the other.
    Unsupported,
    /// 123: replay did something else than the log says.
    Diverged,
    /// 124: this replica no longer acts for the service; another one does.
    Superseded,
    /// 125: ftrun could not do its part.
    Failed,
    /// 126: the program is there and cannot be executed.
    NotExecutable,
    /// 127: there is no such program.
    NotFound,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Server(status) if libc::WIFEXITED(status) => libc::WEXITSTATUS(status) as u8,
            Self::Server(status) => 128u8.wrapping_add(libc::WTERMSIG(status) as u8),
            Self::BadLog => 121,
            Self::Unsupported => 122,
            Self::Diverged => 123,
            Self::Superseded => 124,
            Self::Failed => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }

    /// Ends this process in this way; a fatal signal of the server is raised again here.
    pub fn leave(self) -> ExitCode {
        if let Self::Server(status) = self
            && libc::WIFSIGNALED(status)
        {
            raise(libc::WTERMSIG(status));
        }
        ExitCode::from(self.code())
    }

    /// The exit status for an error.
    pub fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if let Some(error) = cause.downcast_ref::<LaunchError>() {
                return Self::of_launch(error);
            }
            if let Some(StartError::Launch(error)) = cause.downcast_ref::<StartError>() {
                return Self::of_launch(error);
            }
            if let Some(RecordingError::Unsupported { .. }) = cause.downcast_ref::<RecordingError>() {
                return Self::Unsupported;
            }
            match cause.downcast_ref::<ReplayError>() {
                Some(ReplayError::Diverged(_)) => return Self::Diverged,
                Some(_) => return Self::Failed,
                None => {}
            }
            match cause.downcast_ref::<RestoreError>() {
                Some(RestoreError::Features(_)) => return Self::Unsupported,
                Some(RestoreError::Missing(_) | RestoreError::Registers(_) | RestoreError::Model(_)) => {
                    return Self::BadLog;
                }
                _ => {}
            }
            if cause.downcast_ref::<common::log::directory::LogError>().is_some() {
                return Self::BadLog;
            }
        }
        Self::Failed
    }

    fn of_launch(error: &LaunchError) -> Self {
        match error {
            LaunchError::NotFound { .. } => Self::NotFound,
            LaunchError::NotExecutable { .. } => Self::NotExecutable,
            _ => Self::Failed,
        }
    }
}

/// Dies of a signal as the server did, without leaving a core file of ftrun's own.
fn raise(signal: i32) {
    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::signal::{SigSet, Signal, raise};
    let Ok(signal) = Signal::try_from(signal) else { return };
    // What fails here leaves the exit code as the only trace of the signal, which is documented.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = tracer::sys::default_action(signal as i32);
    let mut set = SigSet::empty();
    set.add(signal);
    let _ = set.thread_unblock();
    let _ = raise(signal);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_are_documented() {
        let all = [
            (Exit::Success, 0),
            (Exit::BadLog, 121),
            (Exit::Unsupported, 122),
            (Exit::Diverged, 123),
            (Exit::Superseded, 124),
            (Exit::Failed, 125),
            (Exit::NotExecutable, 126),
            (Exit::NotFound, 127),
            (Exit::Server(3 << 8), 3),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code);
        }
    }
}

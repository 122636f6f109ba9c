//! Exit statuses of ftrun itself. Those of the server pass through.

use std::io::ErrorKind;

use common::log::directory::LogError;
use common::pair::channel::ChannelError;
use common::snapshot::StoreError;
use replayer::driver::ReplayError;
use replayer::restore::RestoreError;
use tracer::control::ControlError;
use tracer::launch::LaunchError;
use tracer::recorder::RecordingError;
use tracer::ship::SyncError;
use tracer::start::StartError;

/// How ftrun ends. The numbers are part of the interface (docs/errors.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success,
    /// The server's own end: a wait status as of waitpid(2).
    Server(i32),
    /// 2: what was typed makes no sense.
    Usage,
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
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an exit status has 8 bits, a signal 7"
    )]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Server(status) if libc::WIFEXITED(status) => libc::WEXITSTATUS(status) as u8,
            Self::Server(status) => 128u8.wrapping_add(libc::WTERMSIG(status) as u8),
            Self::Usage => 2,
            Self::BadLog => 121,
            Self::Unsupported => 122,
            Self::Diverged => 123,
            Self::Superseded => 124,
            Self::Failed => 125,
            Self::NotExecutable => 126,
            Self::NotFound => 127,
        }
    }

    /// Raises a fatal signal of the server again, in this process; else gives the number to end with.
    pub fn leave_now(self) -> u8 {
        if let Self::Server(status) = self
            && libc::WIFSIGNALED(status)
        {
            raise(libc::WTERMSIG(status));
        }
        self.code()
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
            if let Some(error) = cause.downcast_ref::<RecordingError>() {
                return Self::of_recording(error);
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
                Some(RestoreError::Store(error)) => return Self::of_store(error),
                _ => {}
            }
            match cause.downcast_ref::<LogError>() {
                Some(LogError::Io { source, .. }) => return Self::of_reading(source),
                Some(LogError::Content(error)) => return Self::of_store(error),
                Some(_) => return Self::BadLog,
                None => {}
            }
            let refused = matches!(cause.downcast_ref(), Some(SyncError::Refused(_)))
                || matches!(cause.downcast_ref(), Some(ChannelError::Version { .. } | ChannelError::Flags { .. }))
                || matches!(cause.downcast_ref(), Some(ControlError::Version { .. }));
            if refused {
                return Self::Unsupported;
            }
        }
        Self::Failed
    }

    fn of_store(error: &StoreError) -> Self {
        if let StoreError::Io { source, .. } = error { Self::of_reading(source) } else { Self::BadLog }
    }

    /// A log of which a file is missing is no whole log; one that may not be read, or a disk that fails, says nothing about it.
    fn of_reading(error: &std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                Self::BadLog
            }
            _ => Self::Failed,
        }
    }

    /// The exit status when a server cannot be recorded further.
    fn of_recording(error: &RecordingError) -> Self {
        if matches!(error, RecordingError::Unsupported { .. }) { Self::Unsupported } else { Self::Failed }
    }

    fn of_launch(error: &LaunchError) -> Self {
        match error {
            LaunchError::NotFound { .. } => Self::NotFound,
            LaunchError::NotExecutable { .. } => Self::NotExecutable,
            _ => Self::Failed,
        }
    }
}

/// An error and its causes on one line; what a message quotes already is not said twice.
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
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
            (Exit::Usage, 2),
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
    #[test]
    fn every_number_is_in_the_catalogue() {
        let catalogue = include_str!("../docs/errors.md");
        let all = [
            Exit::Success,
            Exit::Usage,
            Exit::BadLog,
            Exit::Unsupported,
            Exit::Diverged,
            Exit::Superseded,
            Exit::Failed,
            Exit::NotExecutable,
            Exit::NotFound,
        ];
        for exit in all {
            let row = format!("| {} | `{exit:?}` |", exit.code());
            assert!(catalogue.contains(&row), "docs/errors.md has no row `{row}`");
        }
        assert!(catalogue.contains("| the server's | `Server` |"));
    }

    #[test]
    fn a_cause_is_not_said_twice() {
        let full = std::io::Error::other("the disk is full");
        let error = anyhow::Error::new(full).context("/log: the disk is full").context("cannot record");
        assert_eq!(explain(&error), "cannot record: /log: the disk is full");
    }
}

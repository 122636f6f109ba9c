//! A server at its first instruction, ready to be captured and recorded.

use common::ids::Epoch;
use common::kernel::Kernel;
use common::record::{Kind, Record};
use thiserror::Error;

use crate::capture::{self, CaptureError};
use crate::instructions::{self, Sites};
use crate::interceptor::shared::Shared;
use crate::launch::{self, Command, LaunchError};
use crate::tracee::{Stopped, TraceeError};

/// Why a server could not be brought to its first instruction.
#[derive(Debug, Error)]
pub enum StartError {
    /// It could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Its state could not be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// It could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
}

/// A server that has not executed anything yet.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub stopped: Stopped,
    /// Its kernel state.
    pub kernel: Kernel,
    /// What it shares with ftrun.
    pub shared: Shared,
}

/// Starts a server.
///
/// # Errors
/// When it cannot be started or looked at.
pub fn start(command: &Command, epoch: Epoch) -> Result<Started, StartError> {
    let shared = Shared::new().map_err(|errno| LaunchError::Prepare(format!("memory to share with it: {errno}")))?;
    let stopped = launch::launch(command, &shared)?;
    let provisional = launch::provisional(&stopped)?;
    let kernel = capture::initial_model(&stopped, epoch)?;
    provisional.keep();
    Ok(Started { stopped, kernel, shared })
}

/// Patches the cpuid instructions of a server that has not executed anything yet: the first record, and the same for the
/// recorder. After the snapshot, so that a replica that has the snapshot alone holds no instruction that it does not know.
///
/// # Errors
/// When its memory cannot be read or written.
pub fn patch(stopped: &Stopped) -> Result<(Record, Sites), StartError> {
    let mut patch = Record::new(Kind::Patch, 0, 0);
    for mapping in launch::maps(stopped.pid())? {
        if mapping.prot & libc::PROT_EXEC != 0 && mapping.name.starts_with('/') {
            let one = instructions::patch(stopped, mapping.start, mapping.end - mapping.start)?;
            patch.segments.extend(one.segments);
        }
    }
    let mut sites = Sites::default();
    sites.add(patch.segments.iter().map(|s| s.address));
    Ok((patch, sites))
}

//! A server at its first instruction, ready to be captured and recorded.

use common::ids::Epoch;
use common::kernel::Kernel;
use common::record::{Kind, Record};
use thiserror::Error;

use crate::capture::{self, CaptureError};
use crate::inject::{Held, InjectError};
use crate::instructions::{self, Sites, Trap};
use crate::interceptor::{self, shared::Shared};
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
    /// It could not be told what is to trap.
    #[error(transparent)]
    Inject(#[from] InjectError),
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

/// A server whose instructions that are to trap are patched.
#[derive(Debug)]
pub struct Patched {
    /// The process.
    pub stopped: Stopped,
    /// The first record.
    pub record: Record,
    /// The same for the recorder.
    pub sites: Sites,
    /// Signals that came meanwhile.
    pub held: Vec<Held>,
}

/// Patches the instructions that are to trap in a server that has not executed anything yet. After the snapshot, so that a replica that has the
/// snapshot alone holds no instruction that it does not know.
///
/// # Errors
/// When its memory cannot be read or written.
pub fn patch(stopped: Stopped) -> Result<Patched, StartError> {
    let (mut segments, mut all_seen) = (Vec::new(), true);
    for mapping in launch::maps(stopped.pid())? {
        let (is_code, writable) = (mapping.prot & libc::PROT_EXEC != 0, mapping.prot & libc::PROT_WRITE != 0);
        // The kernel emulates the calls of its page.
        if !is_code || interceptor::is_own(mapping.start, mapping.end) || mapping.name == "[vsyscall]" {
            continue;
        }
        let mut seen = false;
        if mapping.name.starts_with('/') {
            let (one, traps) = instructions::patch(&stopped, mapping.start, mapping.end - mapping.start)?;
            segments.extend(one.segments);
            seen = traps && !writable && !mapping.shared;
        }
        all_seen &= seen;
    }
    let trap = if all_seen { Trap::AtSites } else { Trap::Everywhere };
    let record = Record { segments, ..Record::new(Kind::Patch, trap as u16, 0) };
    let mut sites = Sites::default();
    sites.add(record.segments.iter().map(|s| s.address));
    let (stopped, held) = trap.set(stopped)?;
    Ok(Patched { stopped, record, sites, held })
}

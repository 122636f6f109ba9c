//! A snapshot becomes a process: the same memory at the same addresses, the same registers, the same signal state.
//!
//! Descriptors are not restored: during replay none is needed, and going live makes them from the model.

use std::sync::Arc;

use common::abi;
use common::ids::Lsn;
use common::kernel::{self, Kernel};
use common::snapshot::{Area, Chunk, ContentHash, ContentSource, Manifest, StoreError};
use common::syscall::{Memory, nr};
use nix::errno::Errno;
use thiserror::Error;
use tracer::files::FileAreas;
use tracer::inject::{self, InjectError, Session};
use tracer::interceptor::{self, shared::Shared};
use tracer::launch::{self, LaunchError};
use tracer::signals;
use tracer::sys::ptrace;
use tracer::tracee::{Registers, Stopped, TraceeError};

const PR_SET_MM: u64 = 35;
const PR_SET_MM_MAP: u64 = 14;
/// sizeof(struct robust_list_head): the kernel takes no other length.
const ROBUST_LIST_LEN: u64 = 24;

/// Why a snapshot cannot be restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// This machine's processor lacks what the server may have seen.
    #[error(
        "this processor lacks features of the one that the snapshot was taken on: {}; replicas need the same",
        .0.join(", ")
    )]
    Features(Vec<String>),
    /// The memory that the server may use is not allowed here.
    #[error(
        "resource limit {resource} cannot be set to {soft} (hard {hard}): raise the hard limit for ftrun on this machine"
    )]
    Limit {
        /// RLIMIT_*.
        resource: u32,
        /// Soft limit of the primary.
        soft: u64,
        /// Hard limit of the primary.
        hard: u64,
    },
    /// Memory contents are missing.
    #[error("the snapshot's content {0} is not there: the log is incomplete")]
    Missing(ContentHash),
    /// The register block is malformed.
    #[error("the snapshot's registers have {0} bytes, which is not this version's format")]
    Registers(usize),
    /// Contents cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model cannot be decoded.
    #[error("the snapshot's kernel-state model: {0}")]
    Model(#[from] kernel::DecodeError),
    /// Memory that is shared with it could not be made.
    #[error("no memory to share with the server's process: {0}")]
    Shared(Errno),
    /// The blank process could not be made.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A call inside of it failed.
    #[error("restoring: {0}")]
    Inject(#[from] InjectError),
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
}

/// A process that stands where a captured one stood.
#[derive(Debug)]
pub struct Restored {
    /// The process.
    pub stopped: Stopped,
    /// The kernel state.
    pub kernel: Kernel,
    /// What it shares with the interceptor in it.
    pub shared: Arc<Shared>,
    /// Memory that was mapped from files.
    pub file_areas: FileAreas,
    /// Where its log begins.
    pub lsn: Lsn,
}

/// Restores a snapshot into a new process, which stands where the captured one stood.
///
/// # Errors
/// When the snapshot is incomplete or does not fit this machine.
pub fn restore(
    manifest: &Manifest,
    contents: &dyn ContentSource,
    cpu: Option<usize>,
) -> Result<Restored, RestoreError> {
    let lacking = manifest.cpu.missing_from(&tracer::cpu::features());
    if !lacking.is_empty() {
        return Err(RestoreError::Features(lacking));
    }
    let kernel = Kernel::decode(&manifest.kernel)?;
    let regs =
        ptrace::registers_from_bytes(&manifest.registers).ok_or(RestoreError::Registers(manifest.registers.len()))?;
    let shared = Arc::new(Shared::new().map_err(RestoreError::Shared)?);
    let stopped = launch::blank(cpu, &shared)?;
    let provisional = launch::provisional(&stopped)?;
    let stopped = fill(stopped, manifest, regs, &kernel, contents)?;
    provisional.keep();
    let file_areas = FileAreas::in_snapshot(&manifest.memory);
    Ok(Restored { stopped, kernel, shared, file_areas, lsn: manifest.lsn })
}

/// Makes a replica become the program that the server has become: `manifest` says what its process is then, `kernel` what the
/// kernel holds for it, `before` what it held until now. The replica stays the same process, and keeps ftrun's own memory.
///
/// # Errors
/// When the snapshot is incomplete or does not fit this machine.
pub(crate) fn replace(
    stopped: Stopped,
    manifest: &Manifest,
    kernel: &Kernel,
    before: &Kernel,
    contents: &dyn ContentSource,
) -> Result<Stopped, RestoreError> {
    let lacking = manifest.cpu.missing_from(&tracer::cpu::features());
    if !lacking.is_empty() {
        return Err(RestoreError::Features(lacking));
    }
    let regs =
        ptrace::registers_from_bytes(&manifest.registers).ok_or(RestoreError::Registers(manifest.registers.len()))?;
    let stopped = fill(stopped, manifest, regs, kernel, contents)?;
    Ok(signals::disable_altstack(stopped, before.signals())?)
}

fn fill(
    stopped: Stopped,
    manifest: &Manifest,
    regs: Registers,
    kernel: &Kernel,
    contents: &dyn ContentSource,
) -> Result<Stopped, RestoreError> {
    let pid = stopped.pid();
    let mut session = Session::begin(stopped, regs);
    for mapping in launch::maps(pid)? {
        if !interceptor::is_own(mapping.start, mapping.end) && mapping.name != "[vsyscall]" {
            let args = [mapping.start, mapping.end - mapping.start, 0, 0, 0, 0];
            session = session.call(nr::MUNMAP.into(), args)?.0;
        }
    }
    session = set_limits(session, manifest)?;
    for area in &manifest.memory {
        session = map(session, area, contents)?;
    }
    session = set_layout(session, manifest)?;
    session = set_signals(session, kernel)?;
    session.process().write(inject::SCRATCH, &vec![0; inject::SCRATCH_LEN])?;
    let (stopped, _) = session.end()?;
    stopped.set_xstate(&manifest.xstate)?;
    stopped.set_signal_mask(kernel.mask())?;
    Ok(stopped)
}

/// Limits decide where a stack stops growing and when memory is refused: they are part of the state. Others may differ where
/// this machine does not allow as much.
fn set_limits(mut session: Session, manifest: &Manifest) -> Result<Session, RestoreError> {
    let memory = [libc::RLIMIT_STACK, libc::RLIMIT_DATA, libc::RLIMIT_AS];
    // The time that the replica has used is its own.
    for &(resource, soft, hard) in manifest.limits.iter().filter(|(resource, ..)| *resource != libc::RLIMIT_CPU) {
        let at = session.scratch(&[soft.to_le_bytes(), hard.to_le_bytes()].concat())?;
        let (next, result) = session.call_raw(nr::PRLIMIT64.into(), [0, resource.into(), at, 0, 0, 0])?;
        session = next;
        if result < 0 && memory.contains(&resource) {
            return Err(RestoreError::Limit { resource, soft, hard });
        }
        if result < 0 {
            // As much of it as the hard limit here allows.
            let (next, _) =
                session.call_raw(nr::PRLIMIT64.into(), [0, resource.into(), 0, inject::SCRATCH + 16, 0, 0])?;
            session = next;
            let own = session.process().bytes(inject::SCRATCH + 24, 8).unwrap_or_default();
            let own = u64::from_le_bytes(own.try_into().unwrap_or_default());
            let at = session.scratch(&[soft.min(own).to_le_bytes(), own.to_le_bytes()].concat())?;
            session = session.call(nr::PRLIMIT64.into(), [0, resource.into(), at, 0, 0, 0])?.0;
        }
    }
    Ok(session)
}

fn map(session: Session, area: &Area, contents: &dyn ContentSource) -> Result<Session, RestoreError> {
    let mut flags = libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    flags |= if area.flags & Area::PRIVATE != 0 { libc::MAP_PRIVATE } else { libc::MAP_SHARED };
    if area.flags & Area::GROWSDOWN != 0 {
        flags |= libc::MAP_GROWSDOWN;
    }
    if area.flags & Area::STACK != 0 {
        flags |= libc::MAP_STACK;
    }
    let args = [area.start, area.end - area.start, area.prot.into(), abi::word(flags), u64::MAX, 0];
    let (session, _) = session.call(nr::MMAP.into(), args)?;
    for (range, chunk) in area.ranges() {
        if let Chunk::Hash(hash) = chunk {
            let bytes = contents.get(hash)?.ok_or(RestoreError::Missing(*hash))?;
            session.process().write(range.start, &bytes)?;
        }
    }
    Ok(session)
}

/// Tells the kernel where heap, stack, arguments and the auxiliary vector are (prctl(2), PR_SET_MM_MAP).
fn set_layout(session: Session, manifest: &Manifest) -> Result<Session, RestoreError> {
    const MAP_LEN: u64 = 104;
    let layout = &manifest.layout;
    let mut map = Vec::new();
    for word in [
        layout.start_code,
        layout.end_code,
        layout.start_data,
        layout.end_data,
        layout.start_brk,
        layout.brk,
        layout.start_stack,
        layout.arg_start,
        layout.arg_end,
        layout.env_start,
        layout.env_end,
        inject::SCRATCH + MAP_LEN,
    ] {
        map.extend(word.to_le_bytes());
    }
    // The kernel refuses what is longer than a process may have.
    map.extend(u32::try_from(layout.auxv.len()).unwrap_or(u32::MAX).to_le_bytes());
    map.extend(u32::MAX.to_le_bytes()); // the executable stays as it is
    map.extend(&layout.auxv);
    let address = session.scratch(&map)?;
    Ok(session.call(nr::PRCTL.into(), [PR_SET_MM, PR_SET_MM_MAP, address, MAP_LEN, 0, 0])?.0)
}

fn set_signals(mut session: Session, kernel: &Kernel) -> Result<Session, RestoreError> {
    for signal in (1..=64).filter(|s| ![libc::SIGKILL, libc::SIGSTOP].contains(s)) {
        let disposition = kernel.disposition(signal);
        let words = [disposition.handler, disposition.flags, disposition.restorer, disposition.mask];
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let address = session.scratch(&raw)?;
        session = session.call(nr::RT_SIGACTION.into(), [abi::word(signal), address, 0, 8, 0, 0])?.0;
    }
    if let Some(stack) = kernel.signals().altstack() {
        let address = session.scratch(&signals::altstack_bytes(stack))?;
        session = session.call(nr::SIGALTSTACK.into(), [address, 0, 0, 0, 0, 0])?.0;
    }
    let identity = kernel.identity();
    session = session.call(nr::SET_TID_ADDRESS.into(), [identity.tid_address, 0, 0, 0, 0, 0])?.0;
    let (head, len) = match identity.robust_list {
        (0, _) => (0, ROBUST_LIST_LEN),
        list => list,
    };
    session = session.call(nr::SET_ROBUST_LIST.into(), [head, len, 0, 0, 0, 0])?.0;
    Ok(session)
}

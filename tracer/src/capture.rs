//! A stopped process as a snapshot: memory by content hash, registers, extended state, what the kernel knows of it.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use common::abi;
use common::codec;
use common::ids::{Epoch, Lsn};
use common::kernel::{Ids, Initial, InitialFd, Kernel, PathBytes};
use common::snapshot::{Area, CHUNK_LEN, Chunk, ContentStore, Layout, Manifest, StoreError};
use common::syscall::{Fault, Memory, nr};
use thiserror::Error;

use crate::clock;
use crate::inject::{self, InjectError, Session};
use crate::interceptor;
use crate::launch::{self, LaunchError};
use crate::sys::ptrace;
use crate::tracee::{Stopped, TraceeError};

/// RLIM_NLIMITS.
const RESOURCES: u32 = 16;

/// Why a process cannot be captured.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// Its memory cannot be read.
    #[error("the area {name} cannot be captured: {fault}")]
    Memory {
        /// Which.
        name: String,
        /// Where.
        fault: Fault,
    },
    /// /proc does not tell what it should.
    #[error("/proc/{pid}/{file}: {reason}")]
    Proc {
        /// Process.
        pid: i32,
        /// File.
        file: &'static str,
        /// Why.
        reason: String,
    },
    /// Contents cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The model cannot be encoded.
    #[error(transparent)]
    Codec(#[from] codec::CodecError),
    /// The process could not be handled.
    #[error(transparent)]
    Tracee(#[from] TraceeError),
    /// A call inside of it failed.
    #[error(transparent)]
    Inject(#[from] InjectError),
    /// Its map cannot be read.
    #[error(transparent)]
    Map(#[from] LaunchError),
}

/// What the snapshot says beside the process itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Names the log.
    pub log_id: u64,
    /// Where in the log.
    pub lsn: Lsn,
    /// The command line.
    pub command: Vec<String>,
}

/// Captures a process that stands at a record boundary; its memory contents go into `store`.
///
/// # Errors
/// When it cannot be read or the contents cannot be kept.
pub fn capture(
    stopped: Stopped,
    kernel: &Kernel,
    about: About,
    store: &mut dyn ContentStore,
) -> Result<(Stopped, Manifest), CaptureError> {
    let regs = stopped.registers()?;
    let (mut session, brk) = Session::begin(stopped, regs).call(nr::BRK.into(), [0; 6])?;
    let mut limits = Vec::new();
    for resource in 0..RESOURCES {
        let (next, _) = session.call(nr::PRLIMIT64.into(), [0, resource.into(), 0, inject::SCRATCH, 0, 0])?;
        let word = |at: u64| {
            let raw = next.process().bytes(inject::SCRATCH + at, 8);
            let raw = raw.map_err(|fault| CaptureError::Memory { name: "ftrun's own".into(), fault })?;
            Ok::<u64, CaptureError>(u64::from_le_bytes(raw.try_into().unwrap_or_default()))
        };
        limits.push((resource, word(0)?, word(8)?));
        session = next;
    }
    session.process().write(inject::SCRATCH, &[0; 16])?;
    let (stopped, _) = session.end()?;
    let pid = stopped.pid();
    let mut memory = Vec::new();
    for mapping in launch::maps(pid)? {
        if interceptor::is_own(mapping.start, mapping.end) || mapping.name == "[vsyscall]" {
            continue;
        }
        let mut flags = if mapping.shared { 0 } else { Area::PRIVATE };
        if mapping.name == "[stack]" {
            flags |= Area::GROWSDOWN | Area::STACK;
        }
        let mut area = Area {
            start: mapping.start,
            end: mapping.end,
            prot: mapping.prot.cast_unsigned(),
            flags,
            name: mapping.name,
            chunks: Vec::new(),
        };
        for start in (area.start..area.end).step_by(CHUNK_LEN) {
            let len = CHUNK_LEN.min(abi::size(area.end - start));
            let bytes =
                read(&stopped, start, len).map_err(|fault| CaptureError::Memory { name: area.name.clone(), fault })?;
            let chunk = Chunk::of(&bytes);
            if let Chunk::Hash(_) = chunk {
                store.put(&bytes)?;
            }
            area.chunks.push(chunk);
        }
        memory.push(area);
    }
    let manifest = Manifest {
        log_id: about.log_id,
        lsn: about.lsn,
        cpu: crate::cpu::features(),
        memory,
        registers: ptrace::registers_to_bytes(&regs),
        xstate: stopped.xstate()?,
        layout: layout(pid, brk)?,
        limits,
        kernel: kernel.encode()?,
        command: about.command,
        cwd: String::from_utf8_lossy(&kernel.identity().cwd.0).into_owned(),
    };
    Ok((stopped, manifest))
}

/// Memory; pages behind the end of a mapped file read as zeros.
fn read(stopped: &Stopped, start: u64, len: usize) -> Result<Vec<u8>, Fault> {
    if let Ok(bytes) = stopped.bytes(start, len) {
        return Ok(bytes);
    }
    let mut out = vec![0; len];
    let mut readable = 0;
    for (at, page) in out.chunks_mut(4096).enumerate() {
        if stopped.read(start + (at * 4096) as u64, page).is_ok() {
            readable += 1;
        }
    }
    if readable == 0 { Err(Fault { address: start, length: len }) } else { Ok(out) }
}

fn proc_text(pid: i32, file: &'static str) -> Result<String, CaptureError> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|e| CaptureError::Proc {
        pid,
        file,
        reason: e.to_string(),
    })
}

/// Fields of /proc/PID/stat behind the name, which may contain anything; proc(5) counts from 1, field 3 comes first here.
fn stat_fields(pid: i32) -> Result<Vec<u64>, CaptureError> {
    let text = proc_text(pid, "stat")?;
    let behind = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(behind.split_whitespace().map(|field| abi::word(field.parse::<i64>().unwrap_or(0))).collect())
}

fn layout(pid: i32, brk: u64) -> Result<Layout, CaptureError> {
    let stat = stat_fields(pid)?;
    let fields: Result<Vec<u64>, CaptureError> = [26usize, 27, 45, 46, 47, 28, 48, 49, 50, 51]
        .iter()
        .map(|field| {
            stat.get(field - 3).copied().ok_or_else(|| CaptureError::Proc {
                pid,
                file: "stat",
                reason: format!("field {field} is missing"),
            })
        })
        .collect();
    let fields = fields?;
    let auxv = fs::read(format!("/proc/{pid}/auxv")).map_err(|e| CaptureError::Proc {
        pid,
        file: "auxv",
        reason: e.to_string(),
    })?;
    Ok(Layout {
        start_code: fields[0],
        end_code: fields[1],
        start_data: fields[2],
        end_data: fields[3],
        start_brk: fields[4],
        brk,
        start_stack: fields[5],
        arg_start: fields[6],
        arg_end: fields[7],
        env_start: fields[8],
        env_end: fields[9],
        auxv,
    })
}

/// The kernel-state model of a process right after exec.
///
/// # Errors
/// When /proc cannot be read.
pub fn initial_model(stopped: &Stopped, epoch: Epoch) -> Result<Kernel, CaptureError> {
    let pid = stopped.pid();
    let status = proc_text(pid, "status")?;
    let line = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim();
    let numbers = |name: &str| -> Vec<u32> { line(name).split_whitespace().filter_map(|n| n.parse().ok()).collect() };
    let mask = |name: &str| u64::from_str_radix(line(name), 16).unwrap_or(0);
    let ids = |name: &str| match numbers(name).as_slice() {
        [real, effective, saved, _] => Ids { real: *real, effective: *effective, saved: *saved },
        _ => Ids::all(0),
    };
    let stat = stat_fields(pid)?;
    let at = |field: usize| abi::int(stat.get(field - 3).copied().unwrap_or(0));
    let link = |name: &str| {
        fs::read_link(format!("/proc/{pid}/{name}"))
            .map(|path| PathBytes(path.as_os_str().as_bytes().to_vec()))
            .map_err(|e| CaptureError::Proc { pid, file: "cwd", reason: e.to_string() })
    };
    let now = clock::now_ns(libc::CLOCK_MONOTONIC);
    Ok(Kernel::new(Initial {
        pid,
        ppid: at(4),
        pgrp: at(5),
        sid: at(6),
        uids: ids("Uid:"),
        gids: ids("Gid:"),
        groups: numbers("Groups:"),
        cwd: link("cwd")?,
        umask: u32::from_str_radix(line("Umask:"), 8).unwrap_or(0o022),
        name: line("Name:").as_bytes().to_vec(),
        fds: descriptors(pid)?,
        mask: mask("SigBlk:"),
        ignored: mask("SigIgn:"),
        epoch,
        monotonic_ns: now,
    }))
}

fn descriptors(pid: i32) -> Result<Vec<InitialFd>, CaptureError> {
    let failed = |e: std::io::Error| CaptureError::Proc { pid, file: "fd", reason: e.to_string() };
    let mut numbers: Vec<i32> = fs::read_dir(format!("/proc/{pid}/fd"))
        .map_err(failed)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let mut fds: Vec<InitialFd> = Vec::new();
    for number in numbers {
        let what = fs::read_link(format!("/proc/{pid}/fd/{number}")).map_err(failed)?;
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).map_err(failed)?;
        let flags = info.lines().find_map(|l| l.strip_prefix("flags:")).map_or("0", str::trim);
        let flags = i32::from_str_radix(flags, 8).unwrap_or(0);
        let what = PathBytes(what.as_os_str().as_bytes().to_vec());
        // Standard output and error are usually one file; sharing its description is the common case.
        let same_as = fds.iter().find(|fd| fd.what == what && fd.number > 0 && number > 0).map(|fd| fd.number);
        fds.push(InitialFd { number, what, flags, cloexec: flags & libc::O_CLOEXEC != 0, same_as });
    }
    Ok(fds)
}

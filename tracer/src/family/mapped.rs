//! Files that the server has mapped with MAP_SHARED: what its children would change of them would change its memory, and be no record.
//!
//! A child may read them. What it has inherited of such mappings is read-only; a call of its own that would change such a
//! file, or let memory do so, gets EACCES. Both are said. One that has a file open for writing before the server maps it is found
//! then, as other processes are (`recorder::writers`).

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::abi::{self, PAGE};
use common::syscall::{nr, table};

use crate::files::{FileId, given_path, is_shared, reached};
use crate::launch;
use crate::recorder::InMaps;
use crate::sys::ptrace;
use crate::tracee::{Registers, call_of};

const MOST_PATH: usize = 4096;
/// ioctl(2) operations that write into a file (linux/fs.h).
const FICLONE: u64 = 0x4004_9409;
const FICLONERANGE: u64 = 0x4020_940d;
/// si_code of a fault at memory whose protection forbids it.
const SEGV_ACCERR: i32 = 2;
const PKEY_MPROTECT: u16 = 329;
const SPLICE: u16 = 275;

/// One of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MappedFile {
    /// What its descriptor or path leads to.
    pub(crate) file: FileId,
    /// How a process's memory map shows it.
    pub(crate) in_maps: Option<InMaps>,
    /// By which name it is told of.
    pub(crate) path: PathBuf,
}

/// The files; shared between the recorder, which knows them, and those who follow children.
#[derive(Debug, Clone, Default)]
pub(crate) struct MappedFiles(Arc<Mutex<Vec<MappedFile>>>);

impl MappedFiles {
    fn lock(&self) -> MutexGuard<'_, Vec<MappedFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn contains(&self, file: FileId) -> bool {
        self.lock().iter().any(|known| known.file == file)
    }

    /// From now on children do not change this file.
    pub(crate) fn insert(&self, file: MappedFile) {
        let mut files = self.lock();
        if !files.contains(&file) {
            files.push(file);
        }
    }

    /// Lets children change those for which this does not hold.
    pub(crate) fn retain(&self, mapped: impl Fn(FileId) -> bool) {
        self.lock().retain(|known| mapped(known.file));
    }

    fn known(&self, file: Option<FileId>) -> Option<PathBuf> {
        let file = file?;
        self.lock().iter().find(|known| known.file == file).map(|known| known.path.clone())
    }

    /// The first of them that a process has mapped with MAP_SHARED between two addresses.
    fn between(&self, pid: i32, start: u64, end: u64) -> Option<PathBuf> {
        let mut areas = launch::maps(pid).ok()?.into_iter().filter(|area| area.start < end && area.end > start);
        areas.find_map(|area| {
            let in_maps = if area.shared { InMaps::at(pid.cast_unsigned(), area.start) } else { None }?;
            self.lock().iter().find(|known| known.in_maps.as_ref() == Some(&in_maps)).map(|known| known.path.clone())
        })
    }

    /// The file that a call would change, or make changeable by memory. The process stands before it.
    fn changed_by(&self, pid: i32, regs: &Registers) -> Option<PathBuf> {
        if self.lock().is_empty() {
            return None;
        }
        let call = call_of(regs);
        let args = &call.args;
        let descriptor = |fd: u64| self.known(FileId::of_descriptor(pid, abi::int(fd)));
        let path = |base: u64, at: u64| self.known(FileId::of_path(&named(pid, abi::int(base), at)?));
        let here = abi::word(libc::AT_FDCWD);
        let truncates = |flags: u64| flags & libc::O_TRUNC as u64 != 0;
        let writes = |protection: u64| protection & libc::PROT_WRITE as u64 != 0;
        match u16::try_from(call.number).ok()? {
            nr::WRITE | nr::WRITEV | nr::PWRITE64 | nr::PWRITEV | nr::PWRITEV2 => descriptor(args[0]),
            nr::FTRUNCATE | nr::FALLOCATE | nr::SENDFILE => descriptor(args[0]),
            nr::COPY_FILE_RANGE | SPLICE => descriptor(args[2]),
            nr::IOCTL if [FICLONE, FICLONERANGE].contains(&args[1]) => descriptor(args[0]),
            nr::TRUNCATE | nr::CREAT => path(here, args[0]),
            nr::OPEN if truncates(args[1]) => path(here, args[0]),
            nr::OPENAT if truncates(args[2]) => path(args[0], args[1]),
            nr::OPENAT2 if truncates(word_at(pid, args[2])?) => path(args[0], args[1]),
            nr::MMAP if writes(args[2]) && args[3] & libc::MAP_ANONYMOUS as u64 == 0 && is_shared(args[3]) => {
                descriptor(args[4])
            }
            nr::MPROTECT | PKEY_MPROTECT if writes(args[2]) => {
                self.between(pid, args[0], args[0].saturating_add(args[1].max(1)))
            }
            _ => None,
        }
    }

    /// The file that a process has tried to write by memory, where that is why it gets this signal.
    fn hit(&self, pid: i32, signal: i32) -> Option<PathBuf> {
        if signal != libc::SIGSEGV || self.lock().is_empty() {
            return None;
        }
        let info = ptrace::siginfo(pid).ok()?;
        let address = abi::u64_at(&info, 16);
        (abi::i32_at(&info, 8) == SEGV_ACCERR).then(|| self.between(pid, address, address.saturating_add(1)))?
    }
}

/// What one follower has said, so that it says each thing once.
#[derive(Debug, Default)]
pub(super) struct Said(BTreeSet<(i32, PathBuf)>);

impl Said {
    fn say(&mut self, pid: i32, file: &Path, what: &str) {
        if self.0.insert((pid, file.to_owned())) {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let (comm, file) = (comm.trim_end(), file.display());
            crate::say!(
                "process {pid}, {comm}, which the server has started, must not change {file}, which the server has \
                 mapped with MAP_SHARED: {what}"
            );
        }
    }

    /// Refuses the call that a process stands before where it would change one of the files.
    pub(super) fn refuse(&mut self, files: &MappedFiles, pid: i32, regs: &Registers) {
        let Some(file) = files.changed_by(pid, regs) else { return };
        let refused = Registers { orig_rax: u64::MAX, rax: abi::word(-i64::from(libc::EACCES)), ..*regs };
        if ptrace::set_registers(pid, &refused).is_ok() {
            let call = u16::try_from(regs.orig_rax).ok().and_then(|number| table::find(number.into()));
            let call = call.map_or("its call", |shape| shape.name);
            self.say(pid, &file, &format!("{call} gets errno {}", libc::EACCES));
        }
    }

    /// Says why a process gets a signal, where it has tried to write one of the files by memory.
    pub(super) fn explain(&mut self, files: &MappedFiles, pid: i32, signal: i32) {
        if let Some(file) = files.hit(pid, signal) {
            self.say(pid, &file, "it wrote there by memory, and gets SIGSEGV");
        }
    }
}

/// The path that a call was given: relative to the descriptor `base`, or to the working directory.
fn named(pid: i32, base: i32, address: u64) -> Option<PathBuf> {
    let given = text(pid, address)?;
    if base == libc::AT_FDCWD || given.starts_with(b"/") {
        return Some(reached(pid, &given));
    }
    let path = given_path(&given);
    Some(PathBuf::from(format!("/proc/{pid}/fd/{base}")).join(path))
}

/// A text in the memory of a process, without its NUL.
fn text(pid: i32, address: u64) -> Option<Vec<u8>> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut text = Vec::new();
    while text.len() < MOST_PATH {
        let at = address.checked_add(text.len() as u64)?;
        let mut piece = vec![0; abi::size(PAGE - at % PAGE)];
        memory.read_exact_at(&mut piece, at).ok()?;
        match piece.iter().position(|&byte| byte == 0) {
            Some(end) => {
                text.extend_from_slice(&piece[..end]);
                return Some(text);
            }
            None => text.append(&mut piece),
        }
    }
    None
}

fn word_at(pid: i32, address: u64) -> Option<u64> {
    let mut word = [0; 8];
    File::open(format!("/proc/{pid}/mem")).ok()?.read_exact_at(&mut word, address).ok()?;
    Some(u64::from_le_bytes(word))
}

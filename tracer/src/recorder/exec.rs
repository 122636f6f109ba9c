//! The server becomes another program: what that is goes into the log, a snapshot in one record.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::abi;
use common::ids::Lsn;
use common::kernel::Kernel;
use common::record::{Kind, MAX_RECORD, Record, Segment, SegmentRole};
use common::snapshot::{Chunk, ContentSource, Manifest, MemoryStore};
use common::syscall::{self, nr};

use super::{InCall, Next, Recorder, RecordingError, meta};
use crate::capture::{self, About};
use crate::files::{FileAreas, given_path, reached};
use crate::instructions::Trap;
use crate::interceptor::patches::Patches;
use crate::launch;
use crate::signals;
use crate::start;
use crate::sys::ptrace::Resume;
use crate::tracee::{Event, Registers, Stopped};

/// How deep a script's interpreter may be a script (execve(2), interpreter scripts).
const INTERPRETERS: usize = 4;

impl Recorder<'_> {
    /// execve(2), execveat(2).
    pub(super) fn exec(&mut self, stopped: Stopped, regs: &Registers, flow: InCall) -> Result<Next, RecordingError> {
        let pid = stopped.pid();
        let (path, name) = program(pid, &flow);
        if let Some((what, errno)) = refused(&path, &name) {
            let errno = self.warn(&syscall::Refusal::new(format!("{} of {what}", flow.shape.name), errno));
            let result = -i64::from(errno);
            stopped.skip_call(result)?;
            return self.finish(stopped, regs, flow, result);
        }
        let check = syscall::at_exit(&flow.gathered, flow.shape, &flow.call.args, 0, &stopped);
        let (_, check) = check.map_err(Self::fault(flow.shape))?;
        let [arguments, environment] = syscall::exec::arrays(flow.shape.number, &flow.call.args);
        let check = syscall::exec::check(check, arguments, environment, &stopped);
        let rights = ids(pid);
        let mut stopped = match stopped.run(Resume::ToSyscallExit, 0)? {
            Event::Exec(stopped) => stopped,
            Event::SyscallExit(stopped) => {
                let after = stopped.registers()?;
                return self.finish_executed(stopped, flow, after.rax.cast_signed(), &after);
            }
            Event::Dead(status) => return Ok(Next::Dead(status)),
            other => return Err(super::unexpected(other).into()),
        };
        stopped.reopen_memory()?;
        let stopped = match stopped.run(Resume::ToSyscallExit, 0)? {
            Event::SyscallExit(stopped) => stopped,
            Event::Dead(status) => return Ok(Next::Dead(status)),
            other => return Err(super::unexpected(other).into()),
        };
        if ids(pid) != rights {
            return Err(RecordingError::Unsupported {
                what: format!("{} of a program that gives it other rights", flow.shape.name),
                advice: "start ftrun as the user that the server needs, with a copy of the program without that bit",
            });
        }
        let InCall { shape, call, gathered, .. } = flow;
        let mut record = Record::new(Kind::Exec, shape.number, 0).with_logged(&call.args, shape.logged());
        record.check = check;
        record.segments = gathered.inputs;
        record.segments.push(meta(SegmentRole::Path, name_of(pid)));
        let old: Vec<i32> = self.kernel().descriptors().numbers().map(|(fd, _)| fd).collect();
        let stopped = self.capture(stopped, &mut record)?;
        self.append(&record, shape.name)?;
        self.settle_in(stopped, &old)
    }

    /// Puts the process into the record. Signals that come meanwhile wait.
    fn capture(&mut self, stopped: Stopped, record: &mut Record) -> Result<Stopped, RecordingError> {
        let Some(inside) = &self.inside else { return Err(RecordingError::Lost) };
        let mask = stopped.signal_mask()?;
        stopped.set_signal_mask(u64::MAX)?;
        let stopped = launch::enter(stopped, inside.shared)?;
        let stopped = signals::disable_altstack(stopped, self.kernel().signals())?;
        let mut contents = MemoryStore::default();
        let kernel: &Kernel = self.kernel();
        // Log, command and model are those of the log that this stands in.
        let about = About { log_id: 0, lsn: Lsn(0), command: Vec::new() };
        let (stopped, manifest) = capture::capture(stopped, kernel, about, &mut contents)?;
        stopped.set_signal_mask(mask)?;
        let manifest = Manifest { kernel: Vec::new(), cwd: String::new(), ..manifest };
        for area in &manifest.memory {
            for (range, chunk) in area.ranges() {
                let Chunk::Hash(hash) = chunk else { continue };
                let bytes = contents.get(hash).map_err(capture::CaptureError::from)?.unwrap_or_default();
                record.segments.push(Segment { address: range.start, role: SegmentRole::Out, arg: 0, bytes });
            }
        }
        let encoded = manifest.encode().map_err(|error| launch::LaunchError::Prepare(error.to_string()))?;
        record.segments.push(meta(SegmentRole::Snapshot, encoded));
        if record.encoded_len() > MAX_RECORD {
            return Err(RecordingError::Unsupported {
                what: format!("an exec of a program of {} bytes", record.encoded_len()),
                advice: "what a program is when it starts must be less than 1 GiB: name the server itself",
            });
        }
        Ok(stopped)
    }

    /// What was known of the program before is gone; `old` are the descriptors that it had.
    fn settle_in(&mut self, stopped: Stopped, old: &[i32]) -> Result<Next, RecordingError> {
        let pid = stopped.pid();
        self.file_areas = FileAreas::of(pid)?;
        self.leave_other_files_to_children();
        self.file_sizes.clear();
        (self.restart, self.at_exit) = (None, None);
        if let Some(inside) = &mut self.inside {
            inside.patches = Patches::default();
        }
        old.iter().for_each(|&fd| self.refresh_descriptor(fd));
        let patched = start::patch(stopped).map_err(|error| match error {
            start::StartError::Launch(error) => error.into(),
            start::StartError::Capture(error) => RecordingError::Capture(error),
            start::StartError::Tracee(error) => error.into(),
            start::StartError::Inject(error) => error.into(),
        })?;
        self.sites = patched.sites;
        self.counter_traps = Trap::of(&patched.record) == Some(Trap::Everywhere);
        self.held.extend(patched.held);
        self.append(&patched.record, "a patch")?;
        Ok(Next::Go(patched.stopped, 0))
    }
}

/// The file that is to be executed, as ftrun reaches it, and as the server calls it.
fn program(pid: i32, flow: &InCall) -> (PathBuf, String) {
    let (args, number) = (&flow.call.args, flow.shape.number);
    let given = flow.gathered.inputs.first().map(|segment| segment.bytes.as_slice()).unwrap_or_default();
    if number == nr::EXECVEAT && abi::int(args[0]) != libc::AT_FDCWD && !given.starts_with(b"/") {
        let base = PathBuf::from(format!("/proc/{pid}/fd/{}", abi::int(args[0])));
        let name = given_path(given);
        let path = if name.as_os_str().is_empty() { base } else { base.join(name) };
        let name = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        return (path, name.display().to_string());
    }
    (reached(pid, given), given_path(given).display().to_string())
}

/// Why a program must not be executed here, and the errno (positive) that says so best.
fn refused(path: &Path, name: &str) -> Option<(String, i32)> {
    let (mut path, mut name) = (path.to_owned(), name.to_owned());
    for _ in 0..=INTERPRETERS {
        // What cannot be seen the kernel refuses by itself, or executes.
        let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        if meta.mode() & 0o6000 != 0 {
            return Some((format!("{name}, which is set-uid or set-gid"), libc::EPERM));
        }
        if fs::read_link(&path).is_ok_and(|link| link.to_string_lossy().contains("memfd:ftrun-blank")) {
            return Some(("/proc/self/exe after a failover".into(), libc::ENOENT));
        }
        if launch::is_of_another_width(&path) {
            return Some((format!("{name}, which is not made for 64 bits"), libc::ENOEXEC));
        }
        path = launch::interpreter_of(&path)?;
        name = path.display().to_string();
    }
    None
}

/// Lines of /proc/PID/status about users and groups.
fn ids(pid: i32) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let real_and_effective = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    status.lines().filter(|line| line.starts_with("Uid:") || line.starts_with("Gid:")).map(real_and_effective).collect()
}

fn name_of(pid: i32) -> Vec<u8> {
    let mut name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.pop_if(|last| *last == b'\n');
    name
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_gives_other_rights_is_refused_also_as_an_interpreter() {
        let dir = tempfile::tempdir().unwrap();
        let [program, script] = ["program", "script"].map(|name| dir.path().join(name));
        fs::copy("/bin/true", &program).unwrap();
        fs::write(&script, format!("#! {} -x\n", program.display())).unwrap();
        let refused = |path: &Path| super::refused(path, &path.display().to_string());
        assert_eq!((refused(&program), refused(&script)), (None, None));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
        for path in [&program, &script] {
            let (what, errno) = refused(path).unwrap();
            assert!(what.contains("program, which is set-uid") && errno == libc::EPERM, "{what}");
        }
        assert_eq!(refused(Path::new("/no/such/program")), None);
    }

    #[test]
    fn a_program_for_32_bits_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let mut elf = fs::read("/bin/true").unwrap();
        elf[4] = 1;
        fs::write(&path, elf).unwrap();
        assert_eq!(refused(&path, "program").unwrap().1, libc::ENOEXEC);
    }
}

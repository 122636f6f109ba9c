//! Who else uses a file that the server wants to write by memory: what others write there, or see there, is no record.
//!
//! Looked for in /proc, at the moment of the call: who opens the file later, who may not be looked at, and other machines
//! that mount it are not seen.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::sys::{mapping, pidfd};

/// Device and inode as /proc/PID/maps shows them: some file systems show others than stat(2) does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InMaps(String);

impl InMaps {
    /// Of a line: `address permissions offset device inode path`.
    fn of_line(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(3);
        Some(Self(format!("{} {}", fields.next()?, fields.next()?)))
    }

    /// Of the file that a process has mapped at an address.
    pub(crate) fn at(pid: u32, address: u64) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
        let line = text.lines().find(|line| {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            let bounds = range.map(|(start, end)| (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16)));
            matches!(bounds, Some((Ok(start), Ok(end))) if (start..end).contains(&address))
        })?;
        Self::of_line(line)
    }

    /// Of an open file: it is mapped here for a moment.
    pub(super) fn of_descriptor(pid: i32, fd: i32) -> io::Result<Self> {
        let file = File::from(pidfd::borrow(pid, fd)?);
        let mapped = mapping::PageOf::map(&file)?;
        Self::at(std::process::id(), mapped.address()).ok_or_else(|| io::Error::other("/proc/self/maps lacks it"))
    }
}

/// Why the file must not be mapped for writing by `server`: who else uses it, or how the server itself does. Its `twin` uses nothing.
///
/// # Errors
/// When /proc cannot be read.
pub(super) fn of(
    server: i32,
    twin: Option<i32>,
    device: u64,
    inode: u64,
    in_maps: &InMaps,
) -> io::Result<Option<String>> {
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if Some(pid) == twin {
            continue;
        }
        let process = Path::new("/proc").join(&name);
        let who = || {
            let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
            format!("process {pid}, {},", comm.trim_end())
        };
        if pid != server && writes(&process, device, inode) {
            return Ok(Some(format!("{} has it open for writing", who())));
        }
        // A process that ends meanwhile maps nothing.
        let maps = fs::read_to_string(process.join("maps")).unwrap_or_default();
        let mut lines = maps.lines().filter(|line| InMaps::of_line(line).as_ref() == Some(in_maps));
        if pid == server {
            if lines.any(|line| !is_shared(line)) {
                return Ok(Some("the server has mapped it with MAP_PRIVATE, too".into()));
            }
        } else if lines.any(is_shared) {
            return Ok(Some(format!("{} has mapped it", who())));
        }
    }
    Ok(None)
}

fn is_shared(line: &str) -> bool {
    line.split_ascii_whitespace().nth(1).is_some_and(|permissions| permissions.ends_with('s'))
}

/// Whether a process has a descriptor that may write to the file. ftrun's own are those that it has inherited with the server,
/// of which it uses the standard ones.
fn writes(process: &Path, device: u64, inode: u64) -> bool {
    let own = process.file_name().and_then(|name| name.to_str()?.parse().ok()) == Some(std::process::id());
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        let number = descriptor.file_name();
        let standard = number.to_str().and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number < 3);
        let same = fs::metadata(descriptor.path()).is_ok_and(|meta| meta.dev() == device && meta.ino() == inode);
        same && (!own || standard) && is_writable(&process.join("fdinfo").join(number))
    })
}

fn is_writable(info: &Path) -> bool {
    let text = fs::read_to_string(info).unwrap_or_default();
    let flags = text.lines().find_map(|line| i32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & libc::O_PATH == 0 && flags & libc::O_ACCMODE != libc::O_RDONLY)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::process::{Command, Stdio};

    use super::*;

    /// Who else uses `path`, as seen for a server that is this process.
    fn others(path: &Path) -> Option<String> {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let (meta, own) = (file.metadata().unwrap(), std::process::id().cast_signed());
        let in_maps = InMaps::of_descriptor(own, file.as_raw_fd()).unwrap();
        of(own, None, meta.dev(), meta.ino(), &in_maps).unwrap()
    }

    #[test]
    fn another_writer_is_found_and_a_reader_is_let_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"content").unwrap();
        assert_eq!(others(&path), None);
        for (writes, options) in
            [(true, File::options().append(true).clone()), (false, File::options().read(true).clone())]
        {
            let mut child = Command::new("cat");
            child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(options.open(&path).unwrap());
            let mut child = child.spawn().unwrap();
            let found = others(&path);
            drop(child.stdin.take());
            child.wait().unwrap();
            match found {
                Some(found) => assert!(writes && found.contains("has it open for writing"), "{found}"),
                None => assert!(!writes),
            }
        }
        assert_eq!(others(&path), None);
    }
}

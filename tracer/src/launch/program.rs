//! Finds a program and says beforehand, in a user's words, why it cannot be started.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::LaunchError;

/// Finds a program as a shell would and checks that it can be started here.
///
/// # Errors
/// When it is not there, not executable, set-uid, or a script without a usable interpreter.
pub fn find_program(name: &str) -> Result<PathBuf, LaunchError> {
    let not_found = |hint: &str| LaunchError::NotFound { program: name.into(), hint: hint.into() };
    let path = if name.contains('/') {
        PathBuf::from(name)
    } else {
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let found: Vec<PathBuf> =
            std::env::split_paths(&directories).map(|dir| dir.join(name)).filter(|path| path.is_file()).collect();
        // As a shell does: one that may be executed goes before an earlier one that may not.
        let executable =
            found.iter().find(|path| path.metadata().is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0));
        executable.or(found.first()).cloned().ok_or_else(|| not_found(" in any directory of PATH"))?
    };
    let meta = fs::metadata(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => not_found(""),
        _ => LaunchError::NotExecutable { program: name.into(), reason: error.to_string() },
    })?;
    let refuse = |reason: String| Err(LaunchError::NotExecutable { program: path.display().to_string(), reason });
    if meta.is_dir() {
        return refuse("it is a directory".into());
    }
    if !meta.is_file() {
        return refuse("it is no regular file".into());
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return refuse("it has no execute permission (chmod +x)".into());
    }
    if meta.mode() & 0o6000 != 0 {
        return refuse(
            "it is set-uid or set-gid, and a traced program gets no privileges from that; \
             start ftrun as the user it needs, with a copy without that bit"
                .into(),
        );
    }
    if let Some(reason) = unusable_image(&path) {
        return refuse(reason);
    }
    Ok(path)
}

/// What really runs when a script names its interpreter by way of env(1), as in `#!/usr/bin/env python3`: that interpreter, with
/// the script as its argument. env would find it and execve it, and a traced server is one program from its first
/// instruction on. `None` for everything else, also for an env with options of its own.
pub(super) fn through_env(path: &Path, argv: &[String]) -> Result<Option<(PathBuf, Vec<String>)>, LaunchError> {
    let mut head = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(256).read_to_end(&mut head));
    let line = head.strip_prefix(b"#!").and_then(|rest| rest.split(|&b| b == b'\n').next());
    let (Ok(_), Some(Ok(line))) = (read, line.map(str::from_utf8)) else { return Ok(None) };
    let mut words = line.split_ascii_whitespace();
    if words.next().map(Path::new).and_then(Path::file_name) != Some(OsStr::new("env")) {
        return Ok(None);
    }
    let mut words = words.peekable();
    // Without -S everything behind env is one word, which the kernel does not split.
    let splits = words.next_if_eq(&"-S").is_some();
    let words: Vec<&str> = words.collect();
    let Some((&interpreter, rest)) = words.split_first() else { return Ok(None) };
    if interpreter.starts_with('-') || interpreter.contains('=') || (!rest.is_empty() && !splits) {
        return Ok(None);
    }
    let program = find_program(interpreter)?;
    let script = path.display().to_string();
    let given = argv.iter().skip(1).cloned();
    let argv = words.iter().map(|&word| word.to_owned()).chain([script]).chain(given).collect();
    Ok(Some((program, argv)))
}

/// The interpreter that a script names in its first line.
pub(crate) fn interpreter_of(path: &Path) -> Option<PathBuf> {
    let head = head_of(path)?;
    let line = head.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?;
    let name = line.trim_ascii().split(|b| b.is_ascii_whitespace()).next()?;
    (!name.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(name)))
}

/// Whether it is an ELF program for other than 64 bits.
pub(crate) fn is_of_another_width(path: &Path) -> bool {
    head_of(path).is_some_and(|head| head.starts_with(b"\x7fELF") && head.get(4) != Some(&2))
}

fn head_of(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    fs::File::open(path).ok()?.take(256).read_to_end(&mut head).ok()?;
    Some(head)
}

fn unusable_image(path: &Path) -> Option<String> {
    // A program that may be executed but not read shows what it is when it is executed.
    let head = head_of(path)?;
    if head.starts_with(b"#!") {
        let line = head[2..].split(|&b| b == b'\n').next().unwrap_or_default();
        let interpreter = line.trim_ascii().split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
        return unusable_interpreter(Path::new(OsStr::from_bytes(interpreter)));
    }
    match head.get(..20) {
        Some(elf) if elf.starts_with(b"\x7fELF") => {
            let (class, machine) = (elf[4], u16::from_le_bytes([elf[18], elf[19]]));
            let bits = if class == 1 { 32 } else { 64 };
            (class != 2 || machine != 62).then(|| {
                format!(
                    "it is a program for {bits} bits and machine {machine}, expected 64 bits and machine 62 (x86-64)"
                )
            })
        }
        _ if head.is_empty() => Some("it is empty".into()),
        _ => Some("it is neither an ELF program nor a script with an interpreter line (#!)".into()),
    }
}

fn unusable_interpreter(interpreter: &Path) -> Option<String> {
    if interpreter.as_os_str().is_empty() {
        return Some("its first line `#!` names no interpreter".into());
    }
    let name = interpreter.display();
    match interpreter.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("its interpreter {name} does not exist")),
        Err(error) => Some(format!("its interpreter {name}: {error}")),
        Ok(meta) if !meta.is_file() => Some(format!("its interpreter {name} is no regular file")),
        Ok(meta) if meta.permissions().mode() & 0o111 == 0 => {
            Some(format!("its interpreter {name} has no execute permission"))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_is_looked_through() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("server");
        let argv = ["server".to_owned(), "--port".to_owned()];
        let resolved = |line: &str| {
            fs::write(&script, line).unwrap();
            through_env(&script, &argv).unwrap().map(|(_, argv)| argv)
        };
        let name = script.display().to_string();
        assert_eq!(resolved("#!/usr/bin/env sh\n"), Some(vec!["sh".into(), name.clone(), "--port".into()]));
        assert_eq!(resolved("#! /usr/bin/env -S sh -e\n"), Some(vec!["sh".into(), "-e".into(), name, "--port".into()]));
        assert_eq!(resolved("#!/bin/sh\n"), None);
        assert_eq!(resolved("#!/usr/bin/env A=1 sh\n"), None);
    }

    #[test]
    fn a_missing_program_is_told_from_one_that_cannot_run() {
        assert!(matches!(find_program("/nonexistent/server"), Err(LaunchError::NotFound { .. })));
        assert!(matches!(find_program("no-such-program-anywhere"), Err(LaunchError::NotFound { .. })));
        assert!(matches!(find_program("/etc"), Err(LaunchError::NotExecutable { .. })));
        assert!(matches!(find_program("/etc/passwd"), Err(LaunchError::NotExecutable { .. })));
    }
}

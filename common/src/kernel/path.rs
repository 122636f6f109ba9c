//! Paths as the kernel has them: bytes, not necessarily UTF-8.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Upper bound of a path in bytes. No server comes near it (a call takes names of 4096 bytes); without it a forged log could
/// let paths double from record to record.
pub(super) const MAX_PATH: usize = 64 << 10;

/// A path without its NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct PathBytes(pub Vec<u8>);

impl PathBytes {
    /// For opening it.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// What `name` means when this is the directory and `root` the process's root: by the text alone, symbolic links are
    /// not followed.
    #[must_use]
    pub(super) fn join(&self, root: &Self, name: &[u8]) -> Self {
        let absolute = name.first() == Some(&b'/');
        let base = if absolute { root } else { self };
        let mut parts: Vec<&[u8]> = base.0.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
        let floor = root.0.split(|&b| b == b'/').filter(|part| !part.is_empty()).count();
        for part in name.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    if parts.len() > floor {
                        parts.pop();
                    }
                }
                _ => parts.push(part),
            }
        }
        let mut out = vec![b'/'];
        out.extend_from_slice(&parts.join(&b'/'));
        Self(out)
    }

    /// The same file after a rename of `from`, which may be this path or a directory above it; `None` when not concerned.
    #[must_use]
    pub(super) fn renamed(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(from.0.as_slice())?;
        (rest.is_empty() || rest.starts_with(b"/")).then(|| Self([to.0.as_slice(), rest].concat()))
    }

    /// Whether the path begins with a directory's.
    #[must_use]
    pub(super) fn is_below(&self, directory: &[u8]) -> bool {
        self.0.strip_prefix(directory).is_some_and(|rest| rest.starts_with(b"/"))
    }
}

impl From<&str> for PathBytes {
    fn from(path: &str) -> Self {
        Self(path.as_bytes().to_vec())
    }
}

impl From<&Path> for PathBytes {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

impl fmt::Debug for PathBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Display for PathBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_by_their_text() {
        let root = PathBytes::from("/");
        let join = |dir: &str, name: &str| PathBytes::from(dir).join(&root, name.as_bytes()).to_string();
        assert_eq!(join("/srv/data", "a"), "/srv/data/a");
        assert_eq!(join("/srv/data", "/a//b/."), "/a/b");
        assert_eq!(join("/srv", "../../../x"), "/x");
        assert_eq!(join("/", "."), "/");
    }

    #[test]
    fn a_changed_root_is_not_left() {
        let root = PathBytes::from("/jail");
        assert_eq!(PathBytes::from("/jail/etc").join(&root, b"/../../passwd").to_string(), "/jail/passwd");
    }

    #[test]
    fn a_rename_moves_what_is_below() {
        let (from, to) = (PathBytes::from("/a/b"), PathBytes::from("/c"));
        assert_eq!(PathBytes::from("/a/b/x").renamed(&from, &to), Some(PathBytes::from("/c/x")));
        assert_eq!(PathBytes::from("/a/b").renamed(&from, &to), Some(PathBytes::from("/c")));
        assert_eq!(PathBytes::from("/a/bc").renamed(&from, &to), None);
    }
}

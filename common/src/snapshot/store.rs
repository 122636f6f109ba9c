//! Where memory contents lie, by hash. What is read back is always compared with its name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use super::ContentHash;

/// Why contents could not be stored or read back.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A content is not what its name says.
    #[error("{}: the content {hash} is damaged, found {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its name.
        hash: ContentHash,
        /// The hash of what is there.
        found: ContentHash,
    },
    /// The file of contents is malformed.
    #[error("{}, offset {offset}: {what} {found}, expected {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// Which field.
        what: &'static str,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: String,
    },
    /// Contents that a manifest names are not there.
    #[error("{}: the content {hash} is missing", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Its name.
        hash: ContentHash,
    },
}

pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> StoreError + '_ {
    |source| StoreError::Io { path: path.to_owned(), source }
}

/// Where contents can be had.
pub trait ContentSource {
    /// The content of a name, `None` where it is not there.
    ///
    /// # Errors
    /// When it cannot be read or is not what its name says.
    fn get(&self, hash: &ContentHash) -> Result<Option<Vec<u8>>, StoreError>;

    /// Whether [`ContentSource::get`] would find it, sound.
    ///
    /// # Errors
    /// When the source cannot be read.
    fn has(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        match self.get(hash) {
            Ok(content) => Ok(content.is_some()),
            Err(StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Where contents can also be put.
pub trait ContentStore: ContentSource {
    /// Keeps `bytes` and tells their name. What is there already is not written again.
    ///
    /// # Errors
    /// When they cannot be written.
    fn put(&mut self, bytes: &[u8]) -> Result<ContentHash, StoreError>;
}

/// Contents in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    contents: BTreeMap<ContentHash, Vec<u8>>,
}

impl ContentSource for MemoryStore {
    fn get(&self, hash: &ContentHash) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.contents.get(hash).cloned())
    }

    fn has(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.contents.contains_key(hash))
    }
}

impl ContentStore for MemoryStore {
    fn put(&mut self, bytes: &[u8]) -> Result<ContentHash, StoreError> {
        let hash = ContentHash::of(bytes);
        self.contents.entry(hash).or_insert_with(|| bytes.to_vec());
        Ok(hash)
    }
}

/// A cache of contents: a directory with a file for each, by the hexadecimal digits of its hash. Several processes may share
/// it: files appear whole, by rename. A file that was damaged counts as absent and is replaced.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
}

impl FileStore {
    /// In `dir`, which is made if it does not exist.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        Ok(Self { dir })
    }

    fn path(&self, hash: &ContentHash) -> PathBuf {
        self.dir.join(hash.to_string())
    }
}

impl ContentSource for FileStore {
    fn get(&self, hash: &ContentHash) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(hash);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&path)(error)),
        };
        let found = ContentHash::of(&bytes);
        if found != *hash {
            return Err(StoreError::Damaged { path, hash: *hash, found });
        }
        Ok(Some(bytes))
    }
}

impl ContentStore for FileStore {
    fn put(&mut self, bytes: &[u8]) -> Result<ContentHash, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let hash = ContentHash::of(bytes);
        if self.has(&hash)? {
            return Ok(hash);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.path(&hash);
        let temporary = self.dir.join(format!("{hash}.{}-{number}.tmp", std::process::id()));
        let written = File::create(&temporary)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(at(&path));
        if written.is_err() {
            // The error that matters is the one above; a file that cannot be removed is overwritten or ignored later.
            let _ = fs::remove_file(&temporary);
        }
        written.map(|()| hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps_what_it_is_given(store: &mut dyn ContentStore) {
        let hash = store.put(b"hello").unwrap();
        assert_eq!(hash, ContentHash::of(b"hello"));
        assert_eq!(store.put(b"hello").unwrap(), hash);
        assert_eq!(store.get(&hash).unwrap().as_deref(), Some(b"hello".as_slice()));
        let other = ContentHash::of(b"other");
        assert_eq!((store.has(&hash).unwrap(), store.has(&other).unwrap()), (true, false));
        assert_eq!(store.get(&other).unwrap(), None);
    }

    #[test]
    fn stores_keep_what_they_are_given() {
        keeps_what_it_is_given(&mut MemoryStore::default());
        let dir = tempfile::tempdir().unwrap();
        keeps_what_it_is_given(&mut FileStore::open(dir.path().join("a/b")).unwrap());
        assert_eq!(fs::read_dir(dir.path().join("a/b")).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_damaged_file_is_told_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(dir.path()).unwrap();
        let hash = store.put(b"hello").unwrap();
        fs::write(dir.path().join(hash.to_string()), b"hell").unwrap();
        assert!(matches!(store.get(&hash), Err(StoreError::Damaged { .. })));
        assert!(!store.has(&hash).unwrap());
        store.put(b"hello").unwrap();
        assert_eq!(store.get(&hash).unwrap().as_deref(), Some(b"hello".as_slice()));
    }

    #[test]
    fn an_error_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        let error = FileStore::open(dir.path().join("file/below")).unwrap_err().to_string();
        assert!(error.contains("file/below"), "{error}");
    }
}

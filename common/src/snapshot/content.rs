//! The file `content` of a log directory: all contents of its snapshot, one after the other.
//!
//! ```text
//!  0 8 bytes magic "FTRUNCNT"       8 u32 version        12 u32 flags: 0
//! 16 u64 log id                    24 u64 number of contents
//! 32 u32 CRC-32 of the 32 bytes before
//! 36 for each content: 32 bytes BLAKE3 of it, u32 length (1 to 65536), u32 CRC-32 of these 36 bytes, then the content
//! ```
//!
//! Little endian. Nothing follows the last content. Opening reads the headers; a content is compared with its hash when read.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::store::at;
use super::{CHUNK_LEN, ContentHash, ContentSource, StoreError};

const MAGIC: [u8; 8] = *b"FTRUNCNT";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 36;
const ENTRY_LEN: usize = 40;

/// All contents of one snapshot, in one file.
#[derive(Debug)]
pub struct ContentFile {
    path: PathBuf,
    file: File,
    places: BTreeMap<ContentHash, (u64, usize)>,
}

impl ContentFile {
    /// Writes a new file at `path` with the contents `hashes` (each named once) from `source`, and flushes it to the disk.
    ///
    /// # Errors
    /// When the file exists or cannot be written, or a content is missing.
    pub fn write(
        path: &Path,
        log_id: u64,
        hashes: &[ContentHash],
        source: &dyn ContentSource,
    ) -> Result<(), StoreError> {
        let mut out = BufWriter::new(File::create_new(path).map_err(at(path))?);
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&0u32.to_le_bytes());
        header.extend_from_slice(&log_id.to_le_bytes());
        header.extend_from_slice(&(hashes.len() as u64).to_le_bytes());
        header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
        out.write_all(&header).map_err(at(path))?;
        for hash in hashes {
            let missing = || StoreError::Missing { path: path.to_owned(), hash: *hash };
            let bytes = source.get(hash)?.ok_or_else(missing)?;
            let mut entry = Vec::with_capacity(ENTRY_LEN);
            entry.extend_from_slice(&hash.0);
            entry.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            entry.extend_from_slice(&crc32fast::hash(&entry).to_le_bytes());
            out.write_all(&entry).and_then(|()| out.write_all(&bytes)).map_err(at(path))?;
        }
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(at(path))
    }

    /// Opens the file at `path`, which must belong to `log_id`.
    ///
    /// # Errors
    /// When it cannot be read, is cut, damaged, of another version or of another log.
    pub fn open(path: &Path, log_id: u64) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(at(path))?;
        let length = file.metadata().map_err(at(path))?.len();
        let scan = Scan { path, file: &file, length };
        let header: [u8; HEADER_LEN] = scan.array(0)?;
        let u32_at = |at: usize| u32_le(&header, at);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        scan.expect(0, "magic", u64_at(0), u64::from_le_bytes(MAGIC))?;
        scan.expect(8, "version", u32_at(8), VERSION)?;
        scan.expect(32, "header checksum", u32_at(32), crc32fast::hash(&header[..32]))?;
        scan.expect(12, "flags", u32_at(12), 0)?;
        scan.expect(16, "log id", u64_at(16), log_id)?;
        let count = u64_at(24);
        let mut places = BTreeMap::new();
        let mut offset = HEADER_LEN as u64;
        for _ in 0..count {
            let entry: [u8; ENTRY_LEN] = scan.array(offset)?;
            scan.expect(offset, "entry checksum", u32_le(&entry, 36), crc32fast::hash(&entry[..36]))?;
            let size = u32_le(&entry, 32) as usize;
            if !(1..=CHUNK_LEN).contains(&size) {
                return Err(scan.malformed(offset + 32, "content length", size, format!("1 to {CHUNK_LEN}")));
            }
            let mut hash = [0; 32];
            hash.copy_from_slice(&entry[..32]);
            let start = offset + ENTRY_LEN as u64;
            if places.insert(ContentHash(hash), (start, size)).is_some() {
                return Err(scan.malformed(offset, "content", ContentHash(hash), "each content once"));
            }
            offset = start + size as u64;
        }
        scan.expect(offset.min(length), "file length", length, offset)?;
        Ok(Self { path: path.to_owned(), file, places })
    }
}

impl ContentSource for ContentFile {
    fn get(&self, hash: &ContentHash) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(&(offset, size)) = self.places.get(hash) else {
            return Ok(None);
        };
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, offset).map_err(at(&self.path))?;
        let found = ContentHash::of(&bytes);
        if found != *hash {
            return Err(StoreError::Damaged { path: self.path.clone(), hash: *hash, found });
        }
        Ok(Some(bytes))
    }
}

fn u32_le(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The file while its headers are read.
struct Scan<'a> {
    path: &'a Path,
    file: &'a File,
    length: u64,
}

impl Scan<'_> {
    fn malformed(&self, offset: u64, what: &'static str, found: impl Display, expected: impl Display) -> StoreError {
        let (found, expected) = (found.to_string(), expected.to_string());
        StoreError::Malformed { path: self.path.to_owned(), offset, what, found, expected }
    }

    fn expect<T: PartialEq + Display>(
        &self,
        offset: u64,
        what: &'static str,
        found: T,
        expected: T,
    ) -> Result<(), StoreError> {
        if found == expected { Ok(()) } else { Err(self.malformed(offset, what, found, expected)) }
    }

    fn array<const N: usize>(&self, offset: u64) -> Result<[u8; N], StoreError> {
        let end = offset + N as u64;
        if end > self.length {
            return Err(self.malformed(self.length, "file length", self.length, format!("at least {end}")));
        }
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, offset).map_err(at(self.path))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{ContentStore, MemoryStore};
    use super::*;

    fn store() -> (MemoryStore, Vec<ContentHash>) {
        let mut store = MemoryStore::default();
        let hashes = [b"one".as_slice(), b"two!", b"three"].map(|bytes| store.put(bytes).unwrap());
        (store, hashes.to_vec())
    }

    #[test]
    fn contents_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("content");
        let (store, hashes) = store();
        ContentFile::write(&path, 5, &hashes, &store).unwrap();
        let file = ContentFile::open(&path, 5).unwrap();
        for hash in &hashes {
            assert_eq!(file.get(hash).unwrap(), store.get(hash).unwrap());
        }
        assert_eq!(file.get(&ContentHash::of(b"four")).unwrap(), None);
        assert!(matches!(ContentFile::open(&path, 6), Err(StoreError::Malformed { what: "log id", .. })));
        assert!(matches!(ContentFile::write(&path, 5, &hashes, &store), Err(StoreError::Io { .. })));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("content");
        let (store, hashes) = store();
        ContentFile::write(&path, 5, &hashes, &store).unwrap();
        let sound = fs::read(&path).unwrap();
        let readable = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let file = ContentFile::open(&path, 5)?;
            hashes.iter().try_for_each(|hash| match file.get(hash)? {
                Some(_) => Ok(()),
                None => Err(StoreError::Missing { path: path.clone(), hash: *hash }),
            })
        };
        readable(&sound).unwrap();
        for at in 0..sound.len() {
            for bit in 0..8 {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << bit;
                assert!(readable(&bytes).is_err(), "byte {at} bit {bit}");
            }
            assert!(readable(&sound[..at]).is_err(), "cut at {at}");
        }
        assert!(readable(&[sound, vec![0]].concat()).is_err(), "a byte behind the end");
    }

    #[test]
    fn a_content_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (_, hashes) = store();
        let error = ContentFile::write(&dir.path().join("content"), 5, &hashes, &MemoryStore::default()).unwrap_err();
        assert!(error.to_string().contains(&hashes[0].to_string()), "{error}");
    }
}

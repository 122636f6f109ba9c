//! A snapshot: a whole process state, which a replica restores before it applies the log.
//!
//! The [`Manifest`] names everything but the memory contents. Memory is split into chunks of [`CHUNK_LEN`] bytes, each of
//! them zero or known by the hash of its content; the contents lie in a [`ContentSource`], so that a replica asks only for
//! those that it does not have. The encoded manifest, little endian:
//!
//! ```text
//!  0 8 bytes magic "FTRUNSNP"       8 u32 version       12 u32 flags: 0
//! 16 u64 length of the body        24 32 bytes BLAKE3 of the body
//! 56 u32 CRC-32 of the 56 bytes before
//! 60 body: the manifest as encoded by crate::codec
//! ```
//!
//! Magic and version are read without the body, so that another version is named and not reported as damage.

mod content;
mod store;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::content::ContentFile;
pub use self::store::{ContentSource, ContentStore, FileStore, MemoryStore, StoreError};
use crate::codec::{self, CodecError};
use crate::cpu::CpuFeatures;
use crate::ids::Lsn;

/// Bytes of memory in one chunk; the last chunk of an area may be shorter.
pub const CHUNK_LEN: usize = 64 << 10;
/// Bytes of a page: areas begin and end at multiples of it.
pub const PAGE_LEN: u64 = 4096;
/// First bytes of an encoded manifest.
pub const SNAPSHOT_MAGIC: [u8; 8] = *b"FTRUNSNP";
/// Version of the encoded manifest: raised with every change of [`Manifest`] or of a type in it.
pub const SNAPSHOT_VERSION: u32 = 6;
const HEADER_LEN: usize = 60;

/// BLAKE3 of the bytes of a chunk: their name in every store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The name of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// A run of memory within an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chunk {
    /// Nothing but zeros: need not be written.
    Zero,
    /// The content of this name.
    Hash(ContentHash),
}

impl Chunk {
    /// What describes `bytes`. The caller puts them into a store where they are not zero.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.iter().all(|&byte| byte == 0) { Self::Zero } else { Self::Hash(ContentHash::of(bytes)) }
    }
}

/// One mapping of the process, as of a line of /proc/PID/maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// Address behind the last.
    pub end: u64,
    /// PROT_READ, PROT_WRITE, PROT_EXEC as of mmap(2).
    pub prot: u32,
    /// [`Area::PRIVATE`], [`Area::GROWSDOWN`], [`Area::STACK`].
    pub flags: u32,
    /// The file or the kernel's name (`[heap]`, `[stack]`); empty for anonymous memory.
    pub name: String,
    /// The content: one chunk for every [`CHUNK_LEN`] bytes begun.
    pub chunks: Vec<Chunk>,
}

impl Area {
    /// Writes stay in the process; without it the memory is shared with other processes.
    pub const PRIVATE: u32 = 1;
    /// Grows downwards on access (MAP_GROWSDOWN).
    pub const GROWSDOWN: u32 = 2;
    /// The process's stack.
    pub const STACK: u32 = 4;

    /// The addresses of each chunk, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (Range<u64>, &Chunk)> {
        let starts = (self.start..self.end).step_by(CHUNK_LEN);
        starts
            .zip(&self.chunks)
            .map(|(start, chunk)| (start..self.end.min(start.saturating_add(CHUNK_LEN as u64)), chunk))
    }
}

/// Where the kernel believes the parts of the process to be: `struct prctl_mm_map` of PR_SET_MM_MAP, prctl(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of struct prctl_mm_map, by the same names")]
pub struct Layout {
    pub start_code: u64,
    pub end_code: u64,
    pub start_data: u64,
    pub end_data: u64,
    pub start_brk: u64,
    pub brk: u64,
    pub start_stack: u64,
    pub arg_start: u64,
    pub arg_end: u64,
    pub env_start: u64,
    pub env_end: u64,
    #[serde(with = "crate::raw")]
    pub auxv: Vec<u8>,
}

/// A whole process state, memory contents by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Names the log that begins or goes on with this snapshot: chosen at random when the server is started.
    pub log_id: u64,
    /// Where in the log it was taken: the first record to apply has this LSN.
    pub lsn: Lsn,
    /// What the processor offers that the server has run on.
    pub cpu: CpuFeatures,
    /// The mappings, by address.
    pub memory: Vec<Area>,
    /// `struct user_regs_struct`, raw.
    #[serde(with = "crate::raw")]
    pub registers: Vec<u8>,
    /// The extended state (NT_X86_XSTATE), raw.
    #[serde(with = "crate::raw")]
    pub xstate: Vec<u8>,
    /// Where the kernel believes the parts of the process to be.
    pub layout: Layout,
    /// Resource limits (getrlimit(2)): number, soft, hard.
    pub limits: Vec<(u32, u64, u64)>,
    /// The kernel-state model, as its own module encodes it.
    #[serde(with = "crate::raw")]
    pub kernel: Vec<u8>,
    /// The program and its arguments as the user typed them.
    pub command: Vec<String>,
    /// The directory that the server was started in.
    pub cwd: String,
}

/// Why bytes are no snapshot manifest.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// Something else.
    #[error("the snapshot begins with {found:02x?}, expected {SNAPSHOT_MAGIC:02x?}: it is no snapshot of ftrun")]
    Magic {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// Written by another version.
    #[error("the snapshot has version {found}, expected {SNAPSHOT_VERSION}: use the ftrun that wrote it")]
    Version {
        /// The version found.
        found: u32,
    },
    /// Flags that this version does not know.
    #[error("the snapshot has flags {found:#x}, expected 0: use a newer ftrun")]
    Flags {
        /// The flags found.
        found: u32,
    },
    /// The header is damaged.
    #[error("the snapshot's header has checksum {found:#010x}, expected {expected:#010x}: it is damaged")]
    HeaderChecksum {
        /// Computed from the bytes.
        expected: u32,
        /// Found in the header.
        found: u32,
    },
    /// Fewer or more bytes than the header says.
    #[error("the snapshot has {found} bytes, expected {expected}: it is cut or damaged")]
    Length {
        /// Bytes that it should have.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// The body is damaged.
    #[error("the snapshot's body has hash {found}, expected {expected}: it is damaged")]
    BodyHash {
        /// Said by the header.
        expected: ContentHash,
        /// Computed from the bytes.
        found: ContentHash,
    },
    /// The body is no manifest, or a manifest is too large to encode.
    #[error("the snapshot's body: {0}")]
    Codec(#[from] CodecError),
    /// An area that no process has.
    #[error("the snapshot's area {start:#x}-{end:#x} {what}")]
    Area {
        /// First address.
        start: u64,
        /// Address behind the last.
        end: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Manifest {
    /// Its bytes.
    ///
    /// # Errors
    /// When an area is malformed, or the whole is larger than a message may be (about 100 GB of memory).
    pub fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        self.check()?;
        let body = codec::encode(self)?;
        let mut out = Vec::with_capacity(HEADER_LEN + body.len());
        out.extend_from_slice(&SNAPSHOT_MAGIC);
        out.extend_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
        out.extend_from_slice(&0u32.to_le_bytes());
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        out.extend_from_slice(&ContentHash::of(&body).0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out.extend_from_slice(&body);
        Ok(out)
    }

    /// The version in the header of an encoded manifest, whatever version it is.
    ///
    /// # Errors
    /// When the bytes are no manifest or too few.
    pub fn version(bytes: &[u8]) -> Result<u32, SnapshotError> {
        let found = &bytes[..bytes.len().min(8)];
        if found != SNAPSHOT_MAGIC {
            return Err(SnapshotError::Magic { found: found.to_vec() });
        }
        let short = SnapshotError::Length { expected: HEADER_LEN as u64, found: bytes.len() as u64 };
        bytes[8..].first_chunk().map(|field| u32::from_le_bytes(*field)).ok_or(short)
    }

    /// Reads an encoded manifest; every byte is checked.
    ///
    /// # Errors
    /// When the bytes are damaged, of another version, or describe what no process has.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let found = Self::version(bytes)?;
        if found != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version { found });
        }
        let short = SnapshotError::Length { expected: HEADER_LEN as u64, found: bytes.len() as u64 };
        let (header, body) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(short)?;
        let u32_at = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let expected = crc32fast::hash(&header[..56]);
        if u32_at(56) != expected {
            return Err(SnapshotError::HeaderChecksum { expected, found: u32_at(56) });
        }
        if u32_at(12) != 0 {
            return Err(SnapshotError::Flags { found: u32_at(12) });
        }
        let length = u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32;
        if length != body.len() as u64 {
            let expected = length.saturating_add(HEADER_LEN as u64);
            return Err(SnapshotError::Length { expected, found: bytes.len() as u64 });
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(&header[24..56]);
        let (expected, found) = (ContentHash(hash), ContentHash::of(body));
        if found != expected {
            return Err(SnapshotError::BodyHash { expected, found });
        }
        let manifest: Self = codec::decode(body)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Areas are whole pages, in order and apart, with a chunk for every part of them.
    fn check(&self) -> Result<(), SnapshotError> {
        let mut free = 0;
        for area in &self.memory {
            let (start, end) = (area.start, area.end);
            let chunks = end.saturating_sub(start).div_ceil(CHUNK_LEN as u64);
            let what = if start >= end || !start.is_multiple_of(PAGE_LEN) || !end.is_multiple_of(PAGE_LEN) {
                "is no run of whole pages"
            } else if start < free {
                "overlaps or precedes the area before it"
            } else if chunks != area.chunks.len() as u64 {
                "has another number of chunks than its length needs"
            } else if area.flags & !(Area::PRIVATE | Area::GROWSDOWN | Area::STACK) != 0 {
                "has flags that this version does not know"
            } else {
                free = end;
                continue;
            };
            return Err(SnapshotError::Area { start, end, what });
        }
        Ok(())
    }

    /// The names of all contents, each once, in the order of their first use.
    #[must_use]
    pub fn hashes(&self) -> Vec<ContentHash> {
        let mut seen = BTreeSet::new();
        let chunks = self.memory.iter().flat_map(|area| &area.chunks);
        let hashes = chunks.filter_map(|chunk| match chunk {
            Chunk::Hash(hash) => Some(*hash),
            Chunk::Zero => None,
        });
        hashes.filter(|hash| seen.insert(*hash)).collect()
    }

    /// The contents that `source` lacks: what a backup asks for.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn missing(&self, source: &dyn ContentSource) -> Result<Vec<ContentHash>, StoreError> {
        let mut missing = Vec::new();
        for hash in self.hashes() {
            if !source.has(&hash)? {
                missing.push(hash);
            }
        }
        Ok(missing)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cpu::Leaf;

    /// A small process: three areas, one of them of several chunks; its contents are in the store.
    pub(crate) fn process(log_id: u64, store: &mut dyn ContentStore) -> Manifest {
        let mut area = |start: u64, bytes: &[u8], name: &str, flags| {
            let put = |piece: &[u8]| match Chunk::of(piece) {
                Chunk::Zero => Chunk::Zero,
                Chunk::Hash(_) => Chunk::Hash(store.put(piece).unwrap()),
            };
            let chunks = bytes.chunks(CHUNK_LEN).map(put).collect();
            Area { start, end: start + bytes.len() as u64, prot: 3, flags, name: name.to_owned(), chunks }
        };
        let mut large = vec![0; CHUNK_LEN * 2 + 4096];
        large[CHUNK_LEN * 2] = 9;
        let memory = vec![
            area(0x40_0000, &[7; 4096], "/bin/server", Area::PRIVATE),
            area(0x50_0000, &large, "[heap]", Area::PRIVATE),
            area(0x7ff0_0000, &[0; 8192], "[stack]", Area::PRIVATE | Area::GROWSDOWN | Area::STACK),
        ];
        let leafs = vec![Leaf { leaf: 1, subleaf: 0, registers: [1, 2, 3, 4] }];
        Manifest {
            log_id,
            lsn: Lsn(0),
            cpu: CpuFeatures::new("GenuineIntel", leafs, 7, 832),
            memory,
            registers: vec![1; 216],
            xstate: vec![2; 832],
            layout: Layout { brk: 0x50_1000, auxv: vec![3; 16], ..Layout::default() },
            kernel: vec![4; 10],
            limits: vec![(3, 8 << 20, u64::MAX)],
            command: vec!["server".to_owned(), "-p".to_owned()],
            cwd: "/srv".to_owned(),
        }
    }

    #[test]
    fn a_manifest_survives_the_round_trip() {
        let manifest = process(1, &mut MemoryStore::default());
        let bytes = manifest.encode().unwrap();
        assert_eq!(Manifest::version(&bytes).unwrap(), SNAPSHOT_VERSION);
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let sealed = process(1, &mut MemoryStore::default()).encode().unwrap();
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut bytes = sealed.clone();
                bytes[at] ^= 1 << bit;
                assert!(Manifest::decode(&bytes).is_err(), "byte {at} bit {bit}");
            }
            assert!(Manifest::decode(&sealed[..at]).is_err(), "cut at {at}");
        }
        let longer = [sealed, vec![0]].concat();
        assert!(matches!(Manifest::decode(&longer), Err(SnapshotError::Length { .. })));
    }

    #[test]
    fn another_version_is_named_though_its_body_is_strange() {
        let mut bytes = process(1, &mut MemoryStore::default()).encode().unwrap();
        bytes[8] = 77;
        bytes.truncate(30);
        assert_eq!(Manifest::version(&bytes).unwrap(), 77);
        assert!(matches!(Manifest::decode(&bytes), Err(SnapshotError::Version { found: 77 })));
    }

    #[test]
    fn areas_that_no_process_has_are_refused() {
        let sound = process(1, &mut MemoryStore::default());
        let refused = |change: fn(&mut Manifest)| {
            let mut manifest = sound.clone();
            change(&mut manifest);
            matches!(manifest.encode(), Err(SnapshotError::Area { .. }))
        };
        assert!(!refused(|_| ()));
        assert!(refused(|m| m.memory[0].end += 1));
        assert!(refused(|m| m.memory.swap(0, 1)));
        assert!(refused(|m| m.memory[1].start = m.memory[0].start));
        assert!(refused(|m| m.memory[1].chunks.truncate(1)));
        assert!(refused(|m| m.memory[1].end = 0));
        assert!(refused(|m| m.memory[1].flags = 8));
    }

    #[test]
    fn chunks_know_their_addresses_and_zeros_are_not_stored() {
        let mut store = MemoryStore::default();
        let manifest = process(1, &mut store);
        let ranges: Vec<_> = manifest.memory[1].ranges().collect();
        let kib = |n: u64| 0x50_0000 + (n << 10);
        assert_eq!(ranges[0], (kib(0)..kib(64), &Chunk::Zero));
        assert_eq!(ranges[2].0, kib(128)..kib(132));
        assert_eq!(manifest.hashes().len(), 2);
        assert_eq!(manifest.missing(&store).unwrap(), []);
        assert_eq!(manifest.missing(&MemoryStore::default()).unwrap(), manifest.hashes());
    }
}

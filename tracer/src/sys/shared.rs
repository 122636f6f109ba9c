//! Memory that ftrun shares with the server's process: atomic words and rings.
//!
//! The other side may write at any time, and a server gone wild may write anything: nothing here hands out references to bytes,
//! they are copied, and what is copied is checked by whoever reads it.
#![expect(unsafe_code, reason = "shared memory is reached by address")]

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;

/// A memory file of fixed length.
#[derive(Debug)]
pub struct MemoryFile {
    file: OwnedFd,
}

impl MemoryFile {
    /// One of `len` zero bytes.
    ///
    /// # Errors
    /// When the kernel has no memory files or no memory.
    pub fn new(name: &CStr, len: u64) -> Result<Self, Errno> {
        // SAFETY: a C string and flags; the result is checked before it is owned.
        let fd = Errno::result(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })?;
        // SAFETY: memfd_create returned a new descriptor that nobody else has.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        nix::unistd::ftruncate(&file, i64::try_from(len).map_err(|_| Errno::EFBIG)?)?;
        Ok(Self { file })
    }

    /// Maps `len` bytes from `offset`, `copies` times in a row.
    ///
    /// # Errors
    /// When there is no room.
    pub fn map(&self, offset: u64, len: usize, copies: usize) -> Result<Window, Errno> {
        let total = len.checked_mul(copies).ok_or(Errno::ENOMEM)?;
        let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        let none = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping wherever the kernel likes.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), total, libc::PROT_NONE, none, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(Errno::ENOMEM)?;
        let window = Window { base, len: total };
        for copy in 0..copies {
            let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
            // SAFETY: inside of the mapping that was just made and that nobody else knows.
            let mapped = unsafe {
                let at = base.as_ptr().add(copy * len).cast();
                libc::mmap(at, len, protection, flags, self.file.as_raw_fd(), offset)
            };
            if mapped == libc::MAP_FAILED {
                return Err(Errno::last());
            }
        }
        Ok(window)
    }
}

impl AsFd for MemoryFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Mapped shared memory.
#[derive(Debug)]
pub struct Window {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to the window until it is dropped; it is only reached by atomics and by copies.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl Window {
    fn at<T>(&self, offset: u64) -> NonNull<T> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        assert!(
            offset.is_multiple_of(align_of::<T>()) && offset.saturating_add(size_of::<T>()) <= self.len,
            "an offset within the shared memory"
        );
        // SAFETY: inside of the mapping, by the assertion.
        unsafe { self.base.add(offset).cast() }
    }

    /// The u8 at an offset.
    #[must_use]
    pub fn u8(&self, offset: u64) -> &AtomicU8 {
        // SAFETY: mapped and aligned for as long as `self`; both sides use atomic accesses for these words.
        unsafe { self.at::<AtomicU8>(offset).as_ref() }
    }

    /// The u32 at an offset.
    #[must_use]
    pub fn u32(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: as for `u8`.
        unsafe { self.at::<AtomicU32>(offset).as_ref() }
    }

    /// The u64 at an offset.
    #[must_use]
    pub fn u64(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: as for `u8`.
        unsafe { self.at::<AtomicU64>(offset).as_ref() }
    }

    /// The i64 at an offset.
    #[must_use]
    pub fn i64(&self, offset: u64) -> &AtomicI64 {
        // SAFETY: as for `u8`.
        unsafe { self.at::<AtomicI64>(offset).as_ref() }
    }

    fn range(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.saturating_add(len) <= self.len, "a range within the shared memory");
        // SAFETY: inside of the mapping, by the assertion.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Appends a copy of bytes to `out`.
    pub fn read_into(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
        let from = self.range(offset, len);
        out.reserve(len);
        // SAFETY: `len` bytes are mapped at `from`, `out` has room for them, and the two do not overlap. A writer at the same time
        // would break the protocol of the ring; the bytes are then garbage, and are checked as foreign input is.
        unsafe {
            std::ptr::copy_nonoverlapping(from, out.as_mut_ptr().add(out.len()), len);
            out.set_len(out.len() + len);
        }
    }

    /// Copies bytes to an offset.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.range(offset, bytes.len());
        // SAFETY: as for `read_into`, the other way.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: the mapping is this window's own, and all references into it have ended.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// Sleeps while `word` is `value`, at most `patience`; may return early.
pub fn wait(word: &AtomicU32, value: u32, patience: Duration) {
    let time = libc::timespec {
        tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    };
    // SAFETY: the word and the time live for the call. Whatever it returns, the caller looks again.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const time) };
}

/// Wakes whoever sleeps on `word`.
pub fn wake(word: &AtomicU32) {
    word.fetch_add(1, Ordering::SeqCst);
    // SAFETY: the word lives for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

//! A file that is mapped for a moment, to see by what name /proc/PID/maps knows it.
#![expect(unsafe_code, reason = "mmap and munmap")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

const PAGE: usize = 4096;

/// The first page of a file, mapped and never touched.
#[derive(Debug)]
pub struct PageOf(*mut libc::c_void);

impl PageOf {
    /// Maps it.
    ///
    /// # Errors
    /// When the file cannot be mapped.
    pub fn map(file: &File) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice, which nothing reads or writes.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), PAGE, libc::PROT_NONE, libc::MAP_PRIVATE, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self(at)) }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.0.addr() as u64
    }
}

impl Drop for PageOf {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, of which no reference exists.
        unsafe { libc::munmap(self.0, PAGE) };
    }
}

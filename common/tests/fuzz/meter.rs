//! How much memory a call takes: an allocator that counts for each thread.
#![expect(unsafe_code, reason = "an allocator cannot be written without; this one only counts what the system's does")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Meter;

#[global_allocator]
static METER: Meter = Meter;

thread_local! {
    /// Bytes in use and the most that were in use, since `measured` began. Constant and without a destructor: reading them
    /// allocates nothing.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    LIVE.set(LIVE.get() + change);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

fn signed(bytes: usize) -> isize {
    bytes.cast_signed()
}

// SAFETY: every block comes from and goes back to `System`, with the layout that the caller gave; counting touches no block.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller upholds what `GlobalAlloc::alloc` asks for, which is what `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: the block came from `System` with this layout, as the caller promises for this allocator.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks may be there for a moment.
        count(signed(size));
        count(-signed(layout.size()));
        // SAFETY: as in `dealloc`; the new size is the caller's to keep within bounds.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// What `work` gives, and the most bytes that it had in use at once.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    LIVE.set(0);
    PEAK.set(0);
    let value = work();
    (value, PEAK.get().unsigned_abs())
}

#[test]
fn what_is_taken_is_counted() {
    let (bytes, peak) = measured(|| {
        drop(vec![1u8; 1 << 20]);
        vec![0u8; 1 << 16]
    });
    assert_eq!((bytes.len(), peak), (1 << 16, 1 << 20));
}

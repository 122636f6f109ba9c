//! madvise(2): `include/uapi/asm-generic/mman-common.h` in the kernel's sources (Linux 6.18).

use super::super::nr;
use super::super::shape::Class;
use super::super::shape::Class::{Emulate, Execute};
use super::super::shape::shape;
use super::{Operation, are_exactly, known, refused};

const fn carried(value: u64, name: &'static str, class: Class) -> Operation {
    known(value, shape(nr::MADVISE, name, 3, class, &[]))
}

#[rustfmt::skip]
pub(super) static TABLE: &[Operation] = &[
    carried(0, "madvise(MADV_NORMAL)", Emulate),
    carried(1, "madvise(MADV_RANDOM)", Emulate),
    carried(2, "madvise(MADV_SEQUENTIAL)", Emulate),
    carried(3, "madvise(MADV_WILLNEED)", Emulate),
    carried(4, "madvise(MADV_DONTNEED)", Execute),
    refused(8, "madvise(MADV_FREE)"),
    refused(9, "madvise(MADV_REMOVE)"),
    carried(10, "madvise(MADV_DONTFORK)", Emulate),
    carried(11, "madvise(MADV_DOFORK)", Emulate),
    refused(12, "madvise(MADV_MERGEABLE)"),
    refused(13, "madvise(MADV_UNMERGEABLE)"),
    carried(14, "madvise(MADV_HUGEPAGE)", Emulate),
    carried(15, "madvise(MADV_NOHUGEPAGE)", Emulate),
    carried(16, "madvise(MADV_DONTDUMP)", Emulate),
    carried(17, "madvise(MADV_DODUMP)", Emulate),
    refused(18, "madvise(MADV_WIPEONFORK)"),
    refused(19, "madvise(MADV_KEEPONFORK)"),
    refused(20, "madvise(MADV_COLD)"),
    refused(21, "madvise(MADV_PAGEOUT)"),
    refused(22, "madvise(MADV_POPULATE_READ)"),
    refused(23, "madvise(MADV_POPULATE_WRITE)"),
    refused(24, "madvise(MADV_DONTNEED_LOCKED)"),
    refused(25, "madvise(MADV_COLLAPSE)"),
    refused(100, "madvise(MADV_HWPOISON)"),
    refused(101, "madvise(MADV_SOFT_OFFLINE)"),
    refused(102, "madvise(MADV_GUARD_INSTALL)"),
    refused(103, "madvise(MADV_GUARD_REMOVE)"),
];

const _: () =
    assert!(are_exactly(TABLE, &[(0, 4), (8, 25), (100, 103)]), "an advice of madvise is missing, or out of order");

//! arch_prctl(2) (`arch/x86/include/uapi/asm/prctl.h` in the kernel's sources) and futex(2).

use super::super::nr;
use super::super::shape::Class::{Answer, Emulate, Execute};
use super::super::shape::Direction::{Digest, Out};
use super::super::shape::Length::Fixed;
use super::super::shape::{Class, Pointer, ptr, shape};
use super::{Operation, are_sorted, known};

const ADDRESS: &[Pointer] = &[ptr(1, Out, Fixed(8))];
const WAIT: &[Pointer] = &[ptr(0, Digest, Fixed(4)), ptr(3, Digest, Fixed(16))];

const fn arch(value: u64, name: &'static str, class: Class, pointers: &'static [Pointer]) -> Operation {
    known(value, shape(nr::ARCH_PRCTL, name, 2, class, pointers))
}

const fn futex(value: u64, name: &'static str, pointers: &'static [Pointer]) -> Operation {
    known(value, shape(nr::FUTEX, name, 4, Emulate, pointers))
}

pub(super) static ARCH_PRCTL: &[Operation] = &[
    arch(0x1001, "arch_prctl(ARCH_SET_GS)", Execute, &[]),
    arch(0x1002, "arch_prctl(ARCH_SET_FS)", Execute, &[]),
    arch(0x1003, "arch_prctl(ARCH_GET_FS)", Emulate, ADDRESS),
    arch(0x1004, "arch_prctl(ARCH_GET_GS)", Emulate, ADDRESS),
    arch(0x3001, "arch_prctl(ARCH_CET_STATUS)", Answer(libc::EINVAL), &[]),
];

pub(super) static FUTEX: &[Operation] = &[
    futex(0, "futex(FUTEX_WAIT)", WAIT),
    futex(1, "futex(FUTEX_WAKE)", &[]),
    futex(9, "futex(FUTEX_WAIT_BITSET)", WAIT),
    futex(10, "futex(FUTEX_WAKE_BITSET)", &[]),
];

const _: () = assert!(are_sorted(ARCH_PRCTL) && are_sorted(FUTEX), "operations are out of order");

//! fcntl(2): `include/uapi/asm-generic/fcntl.h` and `include/uapi/linux/fcntl.h` in the kernel's sources (Linux 6.18).

use super::super::nr;
use super::super::shape::Class::Emulate;
use super::super::shape::Direction::{In, InOut, Out};
use super::super::shape::Length::Fixed;
use super::super::shape::{Pointer, ptr, shape};
use super::{Operation, are_exactly, known, refused};

/// struct flock.
const FLOCK: &[Pointer] = &[ptr(2, In, Fixed(32))];

const fn carried(value: u64, name: &'static str, pointers: &'static [Pointer]) -> Operation {
    known(value, shape(nr::FCNTL, name, 3, Emulate, pointers))
}

#[rustfmt::skip]
pub(super) static TABLE: &[Operation] = &[
    carried(0, "fcntl(F_DUPFD)", &[]),
    carried(1, "fcntl(F_GETFD)", &[]),
    carried(2, "fcntl(F_SETFD)", &[]),
    carried(3, "fcntl(F_GETFL)", &[]),
    carried(4, "fcntl(F_SETFL)", &[]),
    carried(5, "fcntl(F_GETLK)", &[ptr(2, InOut, Fixed(32))]),
    carried(6, "fcntl(F_SETLK)", FLOCK),
    carried(7, "fcntl(F_SETLKW)", FLOCK),
    carried(8, "fcntl(F_SETOWN)", &[]),
    carried(9, "fcntl(F_GETOWN)", &[]),
    refused(10, "fcntl(F_SETSIG)"),
    refused(11, "fcntl(F_GETSIG)"),
    refused(12, "fcntl(F_GETLK64)"),
    refused(13, "fcntl(F_SETLK64)"),
    refused(14, "fcntl(F_SETLKW64)"),
    refused(15, "fcntl(F_SETOWN_EX)"),
    carried(16, "fcntl(F_GETOWN_EX)", &[ptr(2, Out, Fixed(8))]),
    refused(17, "fcntl(F_GETOWNER_UIDS)"),
    refused(36, "fcntl(F_OFD_GETLK)"),
    refused(37, "fcntl(F_OFD_SETLK)"),
    refused(38, "fcntl(F_OFD_SETLKW)"),
    refused(1024, "fcntl(F_SETLEASE)"),
    refused(1025, "fcntl(F_GETLEASE)"),
    refused(1026, "fcntl(F_NOTIFY)"),
    refused(1027, "fcntl(F_DUPFD_QUERY)"),
    refused(1028, "fcntl(F_CREATED_QUERY)"),
    refused(1029, "fcntl(F_CANCELLK)"),
    carried(1030, "fcntl(F_DUPFD_CLOEXEC)", &[]),
    carried(1031, "fcntl(F_SETPIPE_SZ)", &[]),
    carried(1032, "fcntl(F_GETPIPE_SZ)", &[]),
    refused(1033, "fcntl(F_ADD_SEALS)"),
    refused(1034, "fcntl(F_GET_SEALS)"),
    refused(1035, "fcntl(F_GET_RW_HINT)"),
    refused(1036, "fcntl(F_SET_RW_HINT)"),
    refused(1037, "fcntl(F_GET_FILE_RW_HINT)"),
    refused(1038, "fcntl(F_SET_FILE_RW_HINT)"),
];

const _: () = assert!(
    are_exactly(TABLE, &[(0, 17), (36, 38), (1024, 1038)]),
    "an operation of fcntl is missing, or out of order"
);

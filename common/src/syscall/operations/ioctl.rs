//! ioctl(2): what servers and the C library ask for (`include/uapi/asm-generic/ioctls.h`, `include/uapi/linux/sockios.h`,
//! `include/uapi/linux/fs.h` in the kernel's sources). Drivers have thousands more, which are refused by number.

use super::super::nr;
use super::super::shape::Class::Emulate;
use super::super::shape::Direction::{In, InOut, Out};
use super::super::shape::Length::Fixed;
use super::super::shape::{Pointer, ptr, shape};
use super::{Operation, are_sorted, known, refused};

const VALUE: &[Pointer] = &[ptr(2, In, Fixed(4))];
/// struct ifreq.
const INTERFACE: &[Pointer] = &[ptr(2, InOut, Fixed(40))];

const fn carried(value: u64, name: &'static str, pointers: &'static [Pointer]) -> Operation {
    known(value, shape(nr::IOCTL, name, 3, Emulate, pointers))
}

#[rustfmt::skip]
pub(super) static TABLE: &[Operation] = &[
    refused(0x0001, "ioctl(FIBMAP)"),
    refused(0x0002, "ioctl(FIGETBSZ)"),
    carried(0x5401, "ioctl(TCGETS)", &[ptr(2, Out, Fixed(36))]),
    refused(0x5402, "ioctl(TCSETS)"),
    refused(0x5403, "ioctl(TCSETSW)"),
    refused(0x5404, "ioctl(TCSETSF)"),
    refused(0x5405, "ioctl(TCGETA)"),
    refused(0x5406, "ioctl(TCSETA)"),
    refused(0x5407, "ioctl(TCSETAW)"),
    refused(0x5408, "ioctl(TCSETAF)"),
    refused(0x5409, "ioctl(TCSBRK)"),
    refused(0x540a, "ioctl(TCXONC)"),
    refused(0x540b, "ioctl(TCFLSH)"),
    refused(0x540c, "ioctl(TIOCEXCL)"),
    refused(0x540d, "ioctl(TIOCNXCL)"),
    refused(0x540e, "ioctl(TIOCSCTTY)"),
    carried(0x540f, "ioctl(TIOCGPGRP)", &[ptr(2, Out, Fixed(4))]),
    refused(0x5410, "ioctl(TIOCSPGRP)"),
    refused(0x5411, "ioctl(TIOCOUTQ)"),
    refused(0x5412, "ioctl(TIOCSTI)"),
    carried(0x5413, "ioctl(TIOCGWINSZ)", &[ptr(2, Out, Fixed(8))]),
    refused(0x5414, "ioctl(TIOCSWINSZ)"),
    refused(0x5415, "ioctl(TIOCMGET)"),
    carried(0x541b, "ioctl(FIONREAD)", &[ptr(2, Out, Fixed(4))]),
    refused(0x541d, "ioctl(TIOCCONS)"),
    refused(0x5420, "ioctl(TIOCPKT)"),
    carried(0x5421, "ioctl(FIONBIO)", VALUE),
    refused(0x5422, "ioctl(TIOCNOTTY)"),
    refused(0x5423, "ioctl(TIOCSETD)"),
    refused(0x5424, "ioctl(TIOCGETD)"),
    refused(0x5425, "ioctl(TCSBRKP)"),
    refused(0x5429, "ioctl(TIOCGSID)"),
    refused(0x5441, "ioctl(TIOCGPTPEER)"),
    carried(0x5450, "ioctl(FIONCLEX)", &[]),
    carried(0x5451, "ioctl(FIOCLEX)", &[]),
    carried(0x5452, "ioctl(FIOASYNC)", VALUE),
    refused(0x5460, "ioctl(FIOQSIZE)"),
    refused(0x8901, "ioctl(FIOSETOWN)"),
    refused(0x8902, "ioctl(SIOCSPGRP)"),
    refused(0x8903, "ioctl(FIOGETOWN)"),
    refused(0x8904, "ioctl(SIOCGPGRP)"),
    refused(0x8905, "ioctl(SIOCATMARK)"),
    refused(0x8906, "ioctl(SIOCGSTAMP)"),
    refused(0x890b, "ioctl(SIOCADDRT)"),
    carried(0x8910, "ioctl(SIOCGIFNAME)", INTERFACE),
    refused(0x8912, "ioctl(SIOCGIFCONF)"),
    refused(0x8913, "ioctl(SIOCGIFFLAGS)"),
    refused(0x8914, "ioctl(SIOCSIFFLAGS)"),
    refused(0x8915, "ioctl(SIOCGIFADDR)"),
    refused(0x8919, "ioctl(SIOCGIFBRDADDR)"),
    refused(0x891b, "ioctl(SIOCGIFNETMASK)"),
    refused(0x8921, "ioctl(SIOCGIFMTU)"),
    refused(0x8927, "ioctl(SIOCGIFHWADDR)"),
    carried(0x8933, "ioctl(SIOCGIFINDEX)", INTERFACE),
    refused(0x8946, "ioctl(SIOCETHTOOL)"),
    refused(0x894c, "ioctl(SIOCGSKNS)"),
    refused(0x4004_5431, "ioctl(TIOCSPTLCK)"),
    refused(0x4004_54ca, "ioctl(TUNSETIFF)"),
    refused(0x4004_9409, "ioctl(FICLONE)"),
    refused(0x4008_6602, "ioctl(FS_IOC_SETFLAGS)"),
    refused(0x4020_940d, "ioctl(FICLONERANGE)"),
    refused(0x8004_5430, "ioctl(TIOCGPTN)"),
    refused(0x8008_1272, "ioctl(BLKGETSIZE64)"),
    refused(0x8008_6601, "ioctl(FS_IOC_GETFLAGS)"),
    refused(0xc018_9436, "ioctl(FIDEDUPERANGE)"),
    refused(0xc018_aa3f, "ioctl(UFFDIO_API)"),
    refused(0xc020_660b, "ioctl(FS_IOC_FIEMAP)"),
];

const _: () = assert!(are_sorted(TABLE), "the operations of ioctl are out of order");

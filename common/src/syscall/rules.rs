//! Flags and values of known calls whose effect is not replicated: refused by name.

use super::nr;
use super::shape::{Refusal, Shape};
use crate::abi::int;

/// What is refused of one call.
#[derive(Debug)]
pub struct Rule {
    /// The call's number.
    pub call: u16,
    /// What the refusal names: "flag", "address family".
    what: &'static str,
    /// Which values are refused, for the documentation.
    pub text: &'static str,
    /// The errno that the server gets (positive).
    pub errno: i32,
    /// The refused part of these arguments.
    refused: fn(&[u64; 6]) -> Option<u64>,
}

/// All rules, in the order of the calls.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    RULES.iter()
}

/// Refuses flags of an otherwise known call whose effect is not replicated.
///
/// # Errors
/// A refusal that names call and flag.
pub fn check(shape: &Shape, args: &[u64; 6]) -> Result<(), Refusal> {
    for rule in RULES.iter().filter(|rule| rule.call == shape.number) {
        if let Some(value) = (rule.refused)(args) {
            return Err(Refusal::new(format!("{} with {} {value:#x}", shape.name, rule.what), rule.errno));
        }
    }
    Ok(())
}

/// The bits of an argument that are refused, if there are any.
const fn bits(value: u64, refused: i32) -> Option<u64> {
    match int(value) & refused {
        0 => None,
        bits => Some(bits.cast_unsigned() as u64),
    }
}

const FAMILIES: [i32; 4] = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK];
const SENDING: i32 = libc::MSG_ZEROCOPY | libc::MSG_FASTOPEN;
const SENDING_TEXT: &str = "MSG_ZEROCOPY, MSG_FASTOPEN";
const MAPPING: i32 = libc::MAP_SHARED
    | libc::MAP_PRIVATE
    | libc::MAP_SHARED_VALIDATE
    | libc::MAP_FIXED
    | libc::MAP_ANONYMOUS
    | libc::MAP_GROWSDOWN
    | libc::MAP_DENYWRITE
    | libc::MAP_EXECUTABLE
    | libc::MAP_LOCKED
    | libc::MAP_NORESERVE
    | libc::MAP_POPULATE
    | libc::MAP_NONBLOCK
    | libc::MAP_STACK
    | libc::MAP_FIXED_NOREPLACE
    | libc::MAP_32BIT;
/// The signal that a child sends at its end, and what a child process may be made with.
const CHILD: i32 = 0xff
    | libc::CLONE_VM
    | libc::CLONE_VFORK
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_SETTID
    | libc::CLONE_CHILD_CLEARTID
    | libc::CLONE_SYSVSEM;
const MOVING: i32 = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;

#[rustfmt::skip]
static RULES: &[Rule] = &[
    Rule { call: nr::MMAP, what: "flag", text: "flags beyond those of mmap(2) up to MAP_FIXED_NOREPLACE; MAP_HUGETLB, MAP_SYNC",
        errno: libc::EINVAL, refused: |args| bits(args[3], !MAPPING) },
    Rule { call: nr::MREMAP, what: "flag", text: "flags other than MREMAP_MAYMOVE, MREMAP_FIXED",
        errno: libc::EINVAL, refused: |args| bits(args[3], !MOVING) },
    Rule { call: nr::MREMAP, what: "old size", text: "an old size of 0",
        errno: libc::EINVAL, refused: |args| (args[1] == 0).then_some(0) },
    Rule { call: nr::SOCKET, what: "address family", text: "families other than AF_INET, AF_INET6, AF_UNIX, AF_NETLINK",
        errno: libc::EAFNOSUPPORT, refused: |args| (!FAMILIES.contains(&int(args[0]))).then_some(args[0]) },
    Rule { call: nr::CLONE, what: "flag", text: "CLONE_FILES, CLONE_FS, CLONE_PARENT, CLONE_PIDFD, CLONE_NEW* and other flags that fork(2) has not",
        errno: libc::EINVAL, refused: |args| bits(args[0], !CHILD) },
    Rule { call: nr::SENDTO, what: "flag", text: SENDING_TEXT,
        errno: libc::EOPNOTSUPP, refused: |args| bits(args[3], SENDING) },
    Rule { call: nr::RECVFROM, what: "flag", text: "MSG_ERRQUEUE",
        errno: libc::EOPNOTSUPP, refused: |args| bits(args[3], libc::MSG_ERRQUEUE) },
    Rule { call: nr::SENDMSG, what: "flag", text: SENDING_TEXT,
        errno: libc::EOPNOTSUPP, refused: |args| bits(args[2], SENDING) },
    Rule { call: nr::RECVMSG, what: "flag", text: "MSG_ERRQUEUE",
        errno: libc::EOPNOTSUPP, refused: |args| bits(args[2], libc::MSG_ERRQUEUE) },
    Rule { call: nr::RECVMMSG, what: "flag", text: "MSG_ERRQUEUE",
        errno: libc::EOPNOTSUPP, refused: |args| bits(args[3], libc::MSG_ERRQUEUE) },
    Rule { call: nr::SENDMMSG, what: "flag", text: SENDING_TEXT,
        errno: libc::EOPNOTSUPP, refused: |args| bits(args[3], SENDING) },
];

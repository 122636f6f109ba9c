//! Multiplexed calls: a table of operations for each, sorted by the value that selects, which is checked when this is compiled;
//! so is that those of fcntl, prctl and madvise have an entry for every value of the kernel's headers. What is known has a
//! shape, and what has none is refused by name.

use super::nr;
use super::rules;
use super::shape::{Refusal, Shape};

mod fcntl;
mod ioctl;
mod madvise;
mod others;
mod prctl;
mod sockopt;

pub use sockopt::{OPTIONS as SOCKET_OPTIONS, SocketOption};

/// One operation of a multiplexed call.
#[derive(Debug)]
pub struct Operation {
    /// The value that selects it; of a socket option the level is in the upper half.
    pub value: u64,
    /// Its name: `fcntl(F_SETFL)`.
    pub name: &'static str,
    /// How it is carried; `None`: it is refused.
    pub shape: Option<Shape>,
}

const fn known(value: u64, shape: Shape) -> Operation {
    Operation { value, name: shape.name, shape: Some(shape) }
}

const fn refused(value: u64, name: &'static str) -> Operation {
    Operation { value, name, shape: None }
}

/// What selects the operation.
#[derive(Debug, Clone, Copy)]
enum Selector {
    /// The lower half of an argument, without the bits that only modify it.
    Arg(u8, u32),
    /// Level and option, arguments 1 and 2.
    SocketOption,
}

/// The operations of a multiplexed call.
#[derive(Debug)]
pub struct Operations {
    number: u16,
    name: &'static str,
    selector: Selector,
    errno: i32,
    table: &'static [Operation],
}

impl Operations {
    /// The call's number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The call's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// All operations with a name, ascending.
    #[must_use]
    pub fn all(&self) -> &'static [Operation] {
        self.table
    }

    /// The shapes of all known operations.
    pub fn shapes(&self) -> impl Iterator<Item = &'static Shape> {
        self.table.iter().filter_map(|operation| operation.shape.as_ref())
    }

    /// The errno that every other operation gets (positive): that of a kernel without it.
    #[must_use]
    pub fn errno(&self) -> i32 {
        self.errno
    }

    fn selected(&self, args: &[u64; 6]) -> u64 {
        match self.selector {
            Selector::Arg(index, modifiers) => args[usize::from(index)] & 0xffff_ffff & !u64::from(modifiers),
            Selector::SocketOption => sockopt::selected(args[1], args[2]),
        }
    }

    fn refusal(&self, selected: u64) -> Refusal {
        let what = match self.selector {
            Selector::Arg(..) => format!("{} with operation {selected:#x}", self.name),
            Selector::SocketOption => {
                format!("{} with option {} of level {}", self.name, selected & 0xffff_ffff, selected >> 32)
            }
        };
        Refusal::new(what, self.errno)
    }
}

/// The operations of call `number`, if it is a multiplexed one.
#[must_use]
pub fn of(number: u64) -> Option<&'static Operations> {
    ALL.iter().find(|operations| u64::from(operations.number) == number)
}

/// All multiplexed calls.
pub fn all() -> impl Iterator<Item = &'static Operations> {
    ALL.iter()
}

/// Finds the shape of one operation.
///
/// # Errors
/// A refusal that names the operation.
pub fn resolve(args: &[u64; 6], operations: &'static Operations) -> Result<&'static Shape, Refusal> {
    let selected = operations.selected(args);
    let found = operations.table.binary_search_by_key(&selected, |operation| operation.value);
    let operation = &operations.table[found.map_err(|_| operations.refusal(selected))?];
    let refusal = || Refusal::new(operation.name.to_owned(), operations.errno);
    let shape = operation.shape.as_ref().ok_or_else(refusal)?;
    rules::check(shape, args)?;
    Ok(shape)
}

/// F_GETOWN of the C library: struct f_owner_ex, type (4) and id (4).
pub const F_GETOWN_EX: u64 = 16;

const fn multiplexed(
    number: u16,
    name: &'static str,
    selector: Selector,
    errno: i32,
    table: &'static [Operation],
) -> Operations {
    Operations { number, name, selector, errno, table }
}

/// FUTEX_PRIVATE_FLAG does not change what a single-threaded program sees; FUTEX_CLOCK_REALTIME is the clock.
const FUTEX_MODIFIERS: u32 = 128 | 256;

pub(super) static ALL: &[Operations] = &[
    multiplexed(nr::IOCTL, "ioctl", Selector::Arg(1, 0), libc::ENOTTY, ioctl::TABLE),
    multiplexed(nr::MADVISE, "madvise", Selector::Arg(2, 0), libc::EINVAL, madvise::TABLE),
    multiplexed(nr::SETSOCKOPT, "setsockopt", Selector::SocketOption, libc::ENOPROTOOPT, sockopt::SETSOCKOPT),
    multiplexed(nr::GETSOCKOPT, "getsockopt", Selector::SocketOption, libc::ENOPROTOOPT, sockopt::GETSOCKOPT),
    multiplexed(nr::FCNTL, "fcntl", Selector::Arg(1, 0), libc::EINVAL, fcntl::TABLE),
    multiplexed(nr::PRCTL, "prctl", Selector::Arg(0, 0), libc::EINVAL, prctl::TABLE),
    multiplexed(nr::ARCH_PRCTL, "arch_prctl", Selector::Arg(0, 0), libc::EINVAL, others::ARCH_PRCTL),
    multiplexed(nr::FUTEX, "futex", Selector::Arg(1, FUTEX_MODIFIERS), libc::ENOSYS, others::FUTEX),
];

/// Whether each value is above the one before.
const fn are_sorted(table: &[Operation]) -> bool {
    let mut at = 1;
    while at < table.len() {
        if table[at - 1].value >= table[at].value {
            return false;
        }
        at += 1;
    }
    true
}

/// Whether these are the values in the given ranges, both ends included, each once and in order.
const fn are_exactly(table: &[Operation], ranges: &[(u64, u64)]) -> bool {
    let (mut at, mut range) = (0, 0);
    while range < ranges.len() {
        let (mut value, last) = ranges[range];
        while value <= last {
            if at == table.len() || table[at].value != value {
                return false;
            }
            at += 1;
            value += 1;
        }
        range += 1;
    }
    at == table.len()
}

//! A digest of a server's memory, for both sides to compare.

use std::fmt;
use std::str::FromStr;

use common::memory::{Pages, Scope};
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::Memory;

use crate::launch::Mapping;
use crate::place::PlaceError;
use crate::place::state::each_page;
use crate::tracee::Stopped;

/// The pages of a stopped server that are not zero, without those that are ftrun's own.
///
/// # Errors
/// When the process is gone.
pub fn pages(stopped: &Stopped, scope: Scope) -> Result<Pages, PlaceError> {
    pages_of(stopped.pid(), stopped, scope)
}

/// The same of a process whose memory this is.
///
/// # Errors
/// When the process is gone.
pub(crate) fn pages_of(pid: i32, memory: &impl Memory, scope: Scope) -> Result<Pages, PlaceError> {
    let mut pages = Pages::default();
    let wanted = |area: &Mapping| is_of(area, scope);
    each_page(pid, memory, None, wanted, |address, page| pages.add(address, page))?;
    Ok(pages)
}

/// Whether an area is looked at.
pub(crate) fn is_of(area: &Mapping, scope: Scope) -> bool {
    match scope {
        Scope::Writable => area.prot & libc::PROT_WRITE != 0,
        Scope::Readable => area.prot & libc::PROT_READ != 0,
        Scope::Announced | Scope::Private => area.prot & libc::PROT_WRITE != 0 && !area.shared,
    }
}

/// The record of a stopped server's pages.
///
/// # Errors
/// As [`pages`].
pub fn record(stopped: &Stopped, scope: Scope) -> Result<Record, PlaceError> {
    Ok(record_of(&pages(stopped, scope)?, scope))
}

/// The record of these pages.
pub(crate) fn record_of(pages: &Pages, scope: Scope) -> Record {
    let mut record = Record::new(Kind::Memory, scope as u16, i64::try_from(pages.len()).unwrap_or(i64::MAX));
    record.check = pages.check();
    record.segments.push(Segment { address: 0, role: SegmentRole::Pages, arg: 0, bytes: pages.encode() });
    record
}

/// When memory is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemoryCheck {
    /// Never.
    #[default]
    Never,
    /// After so many records, and where the server makes its last call. The server stands meanwhile.
    Every(u64),
    /// Now and then, while the server goes on: after so many records, at least, and a rest.
    Background {
        /// Records.
        records: u64,
        /// For tests: no rest.
        restless: bool,
    },
}

impl MemoryCheck {
    /// In the background as it is meant to be.
    pub const AUTO: Self = Self::Background { records: 100_000, restless: false };
}

impl FromStr for MemoryCheck {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let often = text.strip_prefix("auto:").and_then(|records| records.parse().ok());
        match (text.parse(), often) {
            (Ok(0), _) => Ok(Self::Never),
            (Ok(records), _) => Ok(Self::Every(records)),
            (_, Some(records)) => Ok(Self::Background { records, restless: true }),
            _ if text == "auto" => Ok(Self::AUTO),
            _ => Err(format!("`{text}` is no number of records, and not `auto`")),
        }
    }
}

impl fmt::Display for MemoryCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("0"),
            Self::Every(records) => write!(f, "{records}"),
            Self::Background { records, restless: true } => write!(f, "auto:{records}"),
            Self::Background { .. } => f.write_str("auto"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_as_it_is_written() {
        let often = MemoryCheck::Background { records: 7, restless: true };
        for check in [MemoryCheck::Never, MemoryCheck::Every(1), MemoryCheck::Every(100_000), MemoryCheck::AUTO, often]
        {
            assert_eq!(check.to_string().parse(), Ok(check));
        }
        for wrong in ["", "-1", "often", "auto:", "auto:x"] {
            assert!(wrong.parse::<MemoryCheck>().is_err(), "{wrong}");
        }
    }
}

//! A digest of a server's memory, for both sides to compare.
//!
//! The stack that the server was started with is left out. The loader saves extended state there whenever it binds a function (XSAVEC), and
//! the processor notes with it which components it thinks are in use, and leaves others out: that differs from run to run, and
//! what is left of it shows through in variables that are not written to yet. What counts of the stack comes to be seen in registers,
//! calls and other memory.

use common::memory::{Pages, Scope};
use common::record::{Kind, Record, Segment, SegmentRole};

use crate::launch::Mapping;
use crate::place::PlaceError;
use crate::place::state::each_page;
use crate::tracee::Stopped;

/// The pages of a stopped server that are not zero, without its stack and those that are ftrun's own.
///
/// # Errors
/// When the process is gone.
pub fn pages(stopped: &Stopped, scope: Scope) -> Result<Pages, PlaceError> {
    let protection = match scope {
        Scope::Writable => libc::PROT_WRITE,
        Scope::Readable => libc::PROT_READ,
    };
    let mut pages = Pages::default();
    let wanted = |area: &Mapping| area.prot & protection != 0 && area.name != "[stack]";
    each_page(stopped, None, wanted, |address, page| pages.add(address, page))?;
    Ok(pages)
}

/// The record of them.
///
/// # Errors
/// As [`pages`].
pub fn record(stopped: &Stopped, scope: Scope) -> Result<Record, PlaceError> {
    let pages = pages(stopped, scope)?;
    let mut record = Record::new(Kind::Memory, scope as u16, i64::try_from(pages.len()).unwrap_or(i64::MAX));
    record.check = pages.check();
    record.segments.push(Segment { address: 0, role: SegmentRole::Pages, arg: 0, bytes: pages.encode() });
    Ok(record)
}

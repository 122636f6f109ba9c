//! A digest of a server's memory, for both sides to compare.
//!
//! The stack that the server was started with is left out, and so is the one that it has for signals. The loader saves extended state there
//! whenever it binds a function (XSAVE), and the processor notes with it which components it thinks are in use: that differs from run to run,
//! and what is left of it shows through in variables that are not written to yet. What counts of a stack comes to be seen in registers,
//! calls and other memory.

use common::kernel::Signals;
use common::memory::{Pages, Scope};
use common::record::{Kind, Record, Segment, SegmentRole};

use crate::launch::Mapping;
use crate::place::PlaceError;
use crate::place::state::each_page;
use crate::tracee::Stopped;

/// The pages of a stopped server that are not zero, without its stacks, as `signals` knows them, and those that are ftrun's own.
///
/// # Errors
/// When the process is gone.
pub fn pages(stopped: &Stopped, signals: &Signals, scope: Scope) -> Result<Pages, PlaceError> {
    let protection = match scope {
        Scope::Writable => libc::PROT_WRITE,
        Scope::Readable => libc::PROT_READ,
    };
    let mut pages = Pages::default();
    let wanted = |area: &Mapping| area.prot & protection != 0 && area.name != "[stack]";
    let stack = signals.altstack().map_or(0..0, |stack| stack.base..stack.base.saturating_add(stack.size));
    each_page(stopped, None, wanted, |address, page| {
        if address >= stack.end || address + page.len() as u64 <= stack.start {
            pages.add(address, page);
        }
    })?;
    Ok(pages)
}

/// The record of them.
///
/// # Errors
/// As [`pages`].
pub fn record(stopped: &Stopped, signals: &Signals, scope: Scope) -> Result<Record, PlaceError> {
    let pages = pages(stopped, signals, scope)?;
    let mut record = Record::new(Kind::Memory, scope as u16, i64::try_from(pages.len()).unwrap_or(i64::MAX));
    record.check = pages.check();
    record.segments.push(Segment { address: 0, role: SegmentRole::Pages, arg: 0, bytes: pages.encode() });
    Ok(record)
}

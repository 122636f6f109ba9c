//! Memory of the replica, compared with what the log says of the primary's.

use common::ids::Lsn;

use common::memory::{Pages, Scope};
use common::record::{Record, SegmentRole};
use tracer::launch;
use tracer::memory_check;
use tracer::tracee::{Event, Stopped};

use super::{At, Driver, ReplayError};

impl Driver {
    /// Lets the process run to the call where the primary's memory was looked at, and compares its own; or remembers that until what was seen there
    /// follows.
    pub(super) fn memory(&mut self, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        let scope = Scope::from_number(record.number);
        let logged = match record.bytes_of(SegmentRole::Pages) {
            None if scope == Some(Scope::Announced) => Some(Ok(Vec::new())),
            pages => pages.map(Pages::decode),
        };
        let (Some(scope), Some(Ok(logged))) = (scope, logged) else {
            return Err(self.diverged(lsn, record, "a record of memory with a list of pages", "a malformed one", None));
        };
        let stopped = match self.advance()? {
            Event::Seccomp(stopped) => stopped,
            other => return Err(self.wrong_stop(lsn, record, other)),
        };
        let now = |scope| memory_check::pages(&stopped, scope);
        let (pages, seen_at) = match scope {
            Scope::Announced => {
                self.announced = Some((lsn, now(scope)?));
                self.at = At::Arrived(Event::Seccomp(stopped));
                return Ok(());
            }
            Scope::Private => match self.announced.take() {
                Some((at, pages)) => (pages, at),
                // It was announced before this replica was there.
                None => {
                    self.at = At::Arrived(Event::Seccomp(stopped));
                    return Ok(());
                }
            },
            Scope::Writable | Scope::Readable => (now(scope)?, lsn),
        };
        if pages.check() != record.check {
            let count = |pages: usize| format!("{pages} pages that are not zero");
            let expected = format!("digest {:#018x} of {}", record.check, count(logged.len()));
            let place = pages.first_difference(&logged).map_or_else(
                || "in a page that the log does not name".to_owned(),
                |page| format!("the first page that differs is {page:#x}, in {}", area(&stopped, page)),
            );
            let when = if seen_at == lsn { String::new() } else { format!(" at LSN {}", seen_at.0) };
            let found = format!("{:#018x} of {}{when}: {place}", pages.check(), count(pages.len()));
            return Err(self.diverged(lsn, record, expected, found, stopped.registers().ok()));
        }
        self.at = At::Arrived(Event::Seccomp(stopped));
        Ok(())
    }
}

/// What is mapped there.
fn area(stopped: &Stopped, page: u64) -> String {
    let maps = launch::maps(stopped.pid()).unwrap_or_default();
    let area = maps.into_iter().find(|area| (area.start..area.end).contains(&page));
    area.map_or_else(
        || "nothing that is mapped here".to_owned(),
        |area| {
            let name = if area.name.is_empty() { "anonymous memory" } else { area.name.as_str() };
            format!("{name} at {:#x} to {:#x}", area.start, area.end)
        },
    )
}

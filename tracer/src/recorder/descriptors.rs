//! Which descriptors a call has changed for those calls that are made in process: what is done after a call is in proportion
//! to what it changed, not to what the server has open.

use std::collections::{BTreeMap, BTreeSet};

use common::abi;
use common::syscall::nr;

use crate::files::FileId;
use crate::interceptor::calls;
use crate::interceptor::layout::DESCRIPTORS_LEN;

/// The descriptors with which something else may be done in process after a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Changed {
    Nothing,
    One(i32),
    /// Two new ones: their numbers are in memory, at this address.
    Pair(u64),
    /// From one number to another, both included.
    Range(i32, i32),
    /// All that are open on the file that this one is open on: it is mapped now.
    OnFileOf(i32),
}

/// What a call that succeeded, made outside, has changed.
pub(super) fn changed(number: u16, args: &[u64; 6], result: i64) -> Changed {
    let made = || Changed::One(abi::int_result(result));
    match number {
        nr::OPEN | nr::OPENAT | nr::OPENAT2 | nr::CREAT | nr::SOCKET | nr::ACCEPT | nr::ACCEPT4 => made(),
        nr::DUP | nr::DUP2 | nr::DUP3 | nr::EPOLL_CREATE | nr::EPOLL_CREATE1 | nr::EVENTFD | nr::EVENTFD2 => made(),
        nr::TIMERFD_CREATE | nr::SIGNALFD | nr::SIGNALFD4 | nr::INOTIFY_INIT | nr::INOTIFY_INIT1 => made(),
        nr::FCNTL if args[1] == libc::F_DUPFD as u64 || args[1] == libc::F_DUPFD_CLOEXEC as u64 => made(),
        nr::CLOSE | nr::CONNECT | nr::LISTEN | nr::BIND | nr::FCNTL | nr::IOCTL => Changed::One(abi::int(args[0])),
        nr::CLOSE_RANGE => {
            let last = abi::int(DESCRIPTORS_LEN - 1);
            let within = |number: u64| i32::try_from(abi::uint(number)).map_or(last, |number| number.min(last));
            Changed::Range(within(args[0]), within(args[1]))
        }
        nr::PIPE | nr::PIPE2 => Changed::Pair(args[0]),
        nr::SOCKETPAIR => Changed::Pair(args[3]),
        nr::MMAP if args[3] & libc::MAP_ANONYMOUS as u64 == 0 => Changed::OnFileOf(abi::int(args[4])),
        // A descriptor of which nothing was known: perhaps one that was opened in process.
        _ if calls::ALL.iter().any(|call| call.number == number && call.right != 0) => Changed::One(abi::int(args[0])),
        _ => Changed::Nothing,
    }
}

/// The descriptors of files that may be written to in process, because their file is not mapped.
#[derive(Debug, Default)]
pub(super) struct Unmapped {
    file: BTreeMap<i32, FileId>,
    open: BTreeMap<FileId, BTreeSet<i32>>,
}

impl Unmapped {
    /// A descriptor is open on this file, or on none that counts here.
    pub(super) fn note(&mut self, fd: i32, file: Option<FileId>) {
        let before = match file {
            Some(file) => self.file.insert(fd, file),
            None => self.file.remove(&fd),
        };
        if let Some(before) = before
            && let Some(open) = self.open.get_mut(&before)
        {
            open.remove(&fd);
            if open.is_empty() {
                self.open.remove(&before);
            }
        }
        if let Some(file) = file {
            self.open.entry(file).or_default().insert(fd);
        }
    }

    /// The descriptors that are open on a file.
    pub(super) fn on(&self, file: FileId) -> impl Iterator<Item = i32> + '_ {
        self.open.get(&file).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_changes_no_more_descriptors_than_it_names() {
        let args = [5, 7, 0, 0x1000, 9, 0];
        for (number, args, expected) in [
            (nr::OPENAT, args, Changed::One(40)),
            (nr::FCNTL, [5, libc::F_DUPFD as u64, 0, 0, 0, 0], Changed::One(40)),
            (nr::FCNTL, [5, libc::F_SETFL as u64, 0, 0, 0, 0], Changed::One(5)),
            (nr::CLOSE, args, Changed::One(5)),
            (nr::PIPE2, [0x2000, 0, 0, 0, 0, 0], Changed::Pair(0x2000)),
            (nr::SOCKETPAIR, args, Changed::Pair(0x1000)),
            (nr::MMAP, [0, 4096, 1, libc::MAP_PRIVATE as u64, 9, 0], Changed::OnFileOf(9)),
            // Anonymous memory has no file, whatever the descriptor says.
            (nr::MMAP, [0, 4096, 1, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64, 9, 0], Changed::Nothing),
            (nr::CLOSE_RANGE, args, Changed::Range(5, 7)),
            (nr::CLOSE_RANGE, [3, u32::MAX.into(), 0, 0, 0, 0], Changed::Range(3, 0x3fff)),
            (nr::WRITE, args, Changed::One(5)),
            (nr::MUNMAP, args, Changed::Nothing),
        ] {
            assert_eq!(changed(number, &args, 40), expected, "call {number} with {args:x?}");
        }
    }

    /// With many files open, mapping one concerns those descriptors alone that are open on it.
    #[test]
    fn a_mapped_file_concerns_its_own_descriptors() {
        let file = |inode: u64| FileId { device: 1, inode };
        let mut unmapped = Unmapped::default();
        for fd in 0..16_000i32 {
            unmapped.note(fd, Some(file(fd.unsigned_abs().into())));
        }
        unmapped.note(20_000, Some(file(77)));
        assert_eq!(unmapped.on(file(77)).collect::<Vec<_>>(), [77, 20_000]);
        assert_eq!(unmapped.on(file(78)).count(), 1);
        assert_eq!(unmapped.on(file(99_999)).count(), 0);
        // The number goes on to another file, and to something that is none.
        unmapped.note(77, Some(file(78)));
        unmapped.note(20_000, None);
        assert_eq!(unmapped.on(file(77)).count(), 0);
        assert_eq!(unmapped.on(file(78)).collect::<Vec<_>>(), [77, 78]);
        (0..16_000).for_each(|fd| unmapped.note(fd, None));
        assert!(unmapped.file.is_empty() && unmapped.open.is_empty());
    }
}

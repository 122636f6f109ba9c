//! A target without a process: descriptors are kept in a table of their own, calls on them are done here, calls that would
//! change the process are only noted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};

use super::SECOND;
use crate::golive::{SCRATCH_LEN, Target, TargetError};

const SCRATCH: u64 = 0x10_0000;

/// One call that was run, with what stood at the scratch address.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    pub(super) number: i64,
    pub(super) args: [u64; 6],
    pub(super) scratch: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) open: BTreeMap<i32, (OwnedFd, bool)>,
    pub(super) ran: Vec<Ran>,
    /// Results of calls that the table does not do.
    pub(super) answers: BTreeMap<i64, i64>,
    /// How long it takes to place a descriptor.
    pub(super) placing_ns: u64,
    scratch: Vec<u8>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            ran: Vec::new(),
            answers: [(libc::SYS_geteuid, 1000), (libc::SYS_getegid, 1000)].into(),
            placing_ns: 0,
            scratch: Vec::new(),
        }
    }

    #[track_caller]
    pub(super) fn fd(&self, number: i32) -> BorrowedFd<'_> {
        self.open.get(&number).unwrap_or_else(|| panic!("descriptor {number} is open")).0.as_fd()
    }

    /// A second descriptor of what a number refers to.
    #[track_caller]
    pub(super) fn file(&self, number: i32) -> File {
        File::from(self.fd(number).try_clone_to_owned().unwrap())
    }

    #[track_caller]
    pub(super) fn flags(&self, number: i32) -> i32 {
        nix::fcntl::fcntl(self.fd(number), nix::fcntl::F_GETFL).unwrap()
    }

    /// What can be read without waiting.
    #[track_caller]
    pub(super) fn read(&self, number: i32) -> io::Result<Vec<u8>> {
        let flags = nix::fcntl::OFlag::from_bits_retain(self.flags(number)) | nix::fcntl::OFlag::O_NONBLOCK;
        nix::fcntl::fcntl(self.fd(number), nix::fcntl::F_SETFL(flags)).unwrap();
        let mut bytes = vec![0; 65536];
        let len = self.file(number).read(&mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }

    /// What is left of a timerfd, in nanoseconds.
    #[track_caller]
    pub(super) fn left_ns(&self, number: i32) -> u64 {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.fd(number).as_raw_fd())).unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("it_value: (")).unwrap();
        let (seconds, nanoseconds) = line.trim_end_matches(')').split_once(", ").unwrap();
        seconds.parse::<u64>().unwrap() * SECOND + nanoseconds.parse::<u64>().unwrap()
    }

    /// Events and data that an epoll set reports within a moment, ordered by data.
    #[track_caller]
    pub(super) fn reports(&self, set: i32, wait_ms: u16) -> Vec<(u64, i32)> {
        let mut events = [EpollEvent::empty(); 16];
        let count = self.epoll(set).wait(&mut events, EpollTimeout::from(wait_ms)).unwrap();
        let mut seen: Vec<_> = events[..count].iter().map(|event| (event.data(), event.events().bits())).collect();
        seen.sort_unstable();
        seen
    }

    pub(super) fn epoll(&self, set: i32) -> Epoll {
        Epoll(self.fd(set).try_clone_to_owned().unwrap())
    }

    #[track_caller]
    pub(super) fn only(&self, number: i64) -> &Ran {
        let found: Vec<_> = self.ran.iter().filter(|ran| ran.number == number).collect();
        assert_eq!(found.len(), 1, "calls {number}: {found:?}");
        found[0]
    }

    fn do_epoll_ctl(&self, args: [u64; 6]) -> i64 {
        let (Some(set), Some((fd, _))) = (self.open.get(&(args[0] as i32)), self.open.get(&(args[2] as i32))) else {
            return -i64::from(libc::EBADF);
        };
        let at = (args[3] - SCRATCH) as usize;
        let events = u32::from_le_bytes(self.scratch[at..at + 4].try_into().unwrap());
        let data = u64::from_le_bytes(self.scratch[at + 4..at + 12].try_into().unwrap());
        let mut event = EpollEvent::new(EpollFlags::from_bits_retain(events as i32), data);
        let epoll = Epoll(set.0.try_clone().unwrap());
        let done = match args[1] as i32 {
            libc::EPOLL_CTL_ADD => epoll.add(fd, event),
            libc::EPOLL_CTL_MOD => epoll.modify(fd, &mut event),
            other => panic!("operation {other}"),
        };
        done.map_or_else(|errno| -(errno as i64), |()| 0)
    }

    fn dup(&mut self, from: i32, to: i32, cloexec: bool) -> i64 {
        let copy = self.open[&from].0.try_clone().unwrap();
        self.open.insert(to, (copy, cloexec));
        to.into()
    }
}

impl Target for Table {
    fn call(&mut self, number: i64, args: [u64; 6]) -> Result<i64, TargetError> {
        self.ran.push(Ran { number, args, scratch: self.scratch.clone() });
        Ok(match number {
            libc::SYS_dup3 => self.dup(args[0] as i32, args[1] as i32, args[2] != 0),
            libc::SYS_dup => {
                let free = (0..).find(|fd| !self.open.contains_key(fd)).unwrap();
                self.dup(args[0] as i32, free, false)
            }
            libc::SYS_close => match self.open.remove(&(args[0] as i32)) {
                Some(_) => 0,
                None => -i64::from(libc::EBADF),
            },
            libc::SYS_epoll_ctl => self.do_epoll_ctl(args),
            libc::SYS_epoll_wait => self.reports(args[0] as i32, 0).len().min(1) as i64,
            _ => self.answers.get(&number).copied().unwrap_or(0),
        })
    }

    fn place(&mut self, fd: BorrowedFd<'_>, number: i32, cloexec: bool) -> Result<(), TargetError> {
        assert!(fd.as_raw_fd() >= 0);
        let begun = tracer::clock::now_ns(libc::CLOCK_MONOTONIC);
        while tracer::clock::now_ns(libc::CLOCK_MONOTONIC) < begun + self.placing_ns {
            std::hint::spin_loop();
        }
        self.open.insert(number, (fd.try_clone_to_owned().unwrap(), cloexec));
        Ok(())
    }

    fn areas(&mut self) -> Result<Vec<(u64, u64)>, TargetError> {
        Ok(vec![(0x1000, 0x5000), (0x8000, 0x9000)])
    }

    fn scratch(&mut self, bytes: &[u8]) -> Result<u64, TargetError> {
        assert!(bytes.len() <= SCRATCH_LEN, "{} bytes", bytes.len());
        self.scratch = bytes.to_vec();
        Ok(SCRATCH)
    }
}

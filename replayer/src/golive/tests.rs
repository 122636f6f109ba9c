//! Models made from records by hand, revived into a target that is no process but a table of descriptors.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers and arguments are small and known, and written as libc's constants are"
)]

mod events;
mod files;
mod pipes;
mod posix_timers;
mod process;
mod sockets;
mod table;

use std::net::{IpAddr, Ipv4Addr};

use common::ids::Epoch;
use common::kernel::{Ids, Initial, InitialFd, Kernel, address};
use common::record::{Kind, Record, Segment, SegmentRole};

use super::{Clock, GoLiveError, Report, Resumed, revive};
use table::Table;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SECOND: u64 = 1_000_000_000;

/// A model under construction.
struct Model {
    kernel: Kernel,
}

impl Model {
    /// A process with 0 to 2 inherited, run by the user of the test.
    fn new() -> Self {
        let fd = |number, same_as| InitialFd {
            number,
            what: "/dev/null".into(),
            flags: libc::O_RDWR,
            cloexec: false,
            same_as,
        };
        let kernel = Kernel::new(Initial {
            pid: 100,
            pgrp: 99,
            sid: 99,
            uids: Ids::all(1000),
            gids: Ids::all(1000),
            cwd: "/".into(),
            fds: vec![fd(0, None), fd(1, None), fd(2, Some(1))],
            epoch: Epoch(1),
            ..Initial::default()
        });
        Self { kernel }
    }

    #[track_caller]
    fn call(&mut self, number: i64, result: i64, args: &[i64], segments: &[(SegmentRole, u16, &[u8])]) -> &mut Self {
        let args: Vec<u64> = args.iter().map(|&arg| arg as u64).collect();
        let mut record = Record::new(Kind::Call, number as u16, result).with_args(&args);
        for &(role, arg, bytes) in segments {
            record.segments.push(Segment { address: 0x1000, role, arg, bytes: bytes.to_vec() });
        }
        self.kernel.apply(&record).unwrap();
        self
    }

    fn input(&mut self, number: i64, result: i64, args: &[i64], arg: u16, bytes: &[u8]) -> &mut Self {
        self.call(number, result, args, &[(SegmentRole::In, arg, bytes)])
    }

    fn plain(&mut self, number: i64, result: i64, args: &[i64]) -> &mut Self {
        self.call(number, result, args, &[])
    }

    /// A listener at descriptor `fd`.
    fn listener(&mut self, fd: i64, family: i32, asked: &str) -> &mut Self {
        let raw = sockaddr(asked);
        self.plain(libc::SYS_socket, fd, &[family.into(), 1, 0])
            .input(libc::SYS_setsockopt, 0, &[fd, 1, 9, 0x1000, 4], 3, &1i32.to_le_bytes())
            .input(libc::SYS_bind, 0, &[fd, 0x1000, raw.len() as i64], 1, &raw)
            .plain(libc::SYS_listen, 0, &[fd, 16])
    }

    fn accepted(&mut self, listener: i64, fd: i64, peer: &str) -> &mut Self {
        self.call(libc::SYS_accept4, fd, &[listener, 0, 0, 0], &[(SegmentRole::Peer, 0, &sockaddr(peer))])
    }

    fn prepare(&self) -> Resumed {
        Resumed::prepare(&self.kernel, LOOPBACK).unwrap()
    }

    /// Revives where nothing needs the proxy.
    #[track_caller]
    fn revive(&self) -> (Table, Report) {
        self.revive_at(&mut self.prepare(), SECOND).unwrap()
    }

    fn revive_at(&self, sockets: &mut Resumed, now_ns: u64) -> Result<(Table, Report), GoLiveError> {
        let mut table = Table::new();
        let report = revive(&self.kernel, &mut table, sockets, clock(now_ns))?;
        Ok((table, report))
    }
}

/// The server's clock shows this, whatever the machine's does.
fn clock(now_ns: u64) -> Clock {
    let own = tracer::clock::now_ns(libc::CLOCK_MONOTONIC);
    Clock::ahead_by(now_ns.wrapping_sub(own) as i64)
}

fn sockaddr(text: &str) -> Vec<u8> {
    address::encode(text.parse().unwrap())
}

fn pair(one: i32, two: i32) -> Vec<u8> {
    [one.to_le_bytes(), two.to_le_bytes()].concat()
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

//! Records made by hand, and what the model must say after them.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers and arguments are small and known, and written as libc's constants are"
)]

mod connections;
mod descriptors;
mod events;
mod files;
mod fuzz;
mod posix_timers;
mod process;
mod random;

use super::{Initial, InitialFd, Kernel, ModelError, address};
use crate::ids::Epoch;
use crate::record::{Kind, Record, Segment, SegmentRole};

/// One record under construction.
#[derive(Clone)]
pub(super) struct Made(Record);

pub(super) fn call(number: i64, result: i64, args: &[i64]) -> Made {
    let args: Vec<u64> = args.iter().map(|&arg| arg as u64).collect();
    Made(Record::new(Kind::Call, number as u16, result).with_args(&args))
}

pub(super) fn signal(number: i32, args: &[u64]) -> Made {
    Made(Record::new(Kind::Signal, number as u16, 0).with_args(args))
}

pub(super) fn exec(name: &str) -> Made {
    Made(Record::new(Kind::Exec, libc::SYS_execve as u16, 0)).with(SegmentRole::Path, name.as_bytes())
}

impl Made {
    fn segment(mut self, role: SegmentRole, arg: u16, address: u64, bytes: &[u8]) -> Self {
        self.0.segments.push(Segment { address, role, arg, bytes: bytes.to_vec() });
        self
    }

    pub(super) fn input(self, arg: u16, bytes: &[u8]) -> Self {
        self.segment(SegmentRole::In, arg, 0x1000, bytes)
    }

    pub(super) fn output(self, arg: u16, bytes: &[u8]) -> Self {
        self.segment(SegmentRole::Out, arg, 0x2000, bytes)
    }

    pub(super) fn output_at(self, arg: u16, address: u64, bytes: &[u8]) -> Self {
        self.segment(SegmentRole::Out, arg, address, bytes)
    }

    pub(super) fn with(self, role: SegmentRole, bytes: &[u8]) -> Self {
        self.segment(role, 0, 0, bytes)
    }

    pub(super) fn clock(self, now_ns: u64) -> Self {
        self.with(SegmentRole::Clock, &now_ns.to_le_bytes())
    }
}

/// A process with 0 to 2 open, in epoch 1.
pub(super) fn fresh() -> Kernel {
    let fd =
        |number, same_as| InitialFd { number, what: "/dev/null".into(), flags: libc::O_RDWR, cloexec: false, same_as };
    Kernel::new(Initial {
        pid: 100,
        cwd: "/srv".into(),
        umask: 0o022,
        fds: vec![fd(0, None), fd(1, None), fd(2, Some(1))],
        epoch: Epoch(1),
        ..Initial::default()
    })
}

impl Kernel {
    /// Applies a record that must fit; the rules hold afterwards, and the model survives the snapshot's encoding.
    #[track_caller]
    pub(super) fn takes(&mut self, made: Made) {
        let mut from_log = self.clone();
        self.apply(&made.0).unwrap();
        self.check().unwrap();
        from_log.apply(&as_logged(&made.0)).unwrap();
        assert!(same(&mut from_log, self), "an argument that is not logged counts: {:?}", made.0);
        let copy = Self::decode(&self.encode().unwrap()).unwrap();
        assert_eq!(copy, *self);
    }

    /// Applies a record that must be refused.
    #[track_caller]
    pub(super) fn refuses(&mut self, made: Made) -> ModelError {
        let error = self.clone().apply(&made.0).expect_err("the record does not fit");
        assert_eq!(self.clone().apply(&as_logged(&made.0)), Err(error.clone()), "as it is logged");
        error
    }
}

/// The record without the arguments and addresses that the recorder does not log.
pub(super) fn as_logged(record: &Record) -> Record {
    let shape = match record.kind {
        Kind::Call => crate::syscall::resolve(record.number.into(), &record.args).ok(),
        _ => None,
    };
    let mask = shape.map_or(0x3f, |shape| !shape.recomputed);
    let mut logged = record.clone().with_logged(&record.args, record.logged & mask);
    for segment in &mut logged.segments {
        if record.logged_arg(segment.arg.into()) == Some(segment.address) {
            segment.address = 0;
        }
    }
    logged
}

/// Whether two models are the same, and tell the same to those that follow connections and listeners.
pub(super) fn same(one: &mut Kernel, other: &Kernel) -> bool {
    let mut other = other.clone();
    *one == other && one.take_progress() == other.take_progress() && one.take_unlistened() == other.take_unlistened()
}

pub(super) fn sockaddr(text: &str) -> Vec<u8> {
    address::encode(text.parse().unwrap())
}

pub(super) fn pair(one: i32, two: i32) -> Vec<u8> {
    [one.to_le_bytes(), two.to_le_bytes()].concat()
}

pub(super) fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A listener at descriptor 3 on 0.0.0.0:80.
pub(super) fn listening(kernel: &mut Kernel) {
    kernel.takes(call(libc::SYS_socket, 3, &[2, 1, 0]));
    kernel.takes(call(libc::SYS_setsockopt, 0, &[3, 1, 2, 0x1000, 4]).input(3, &1i32.to_le_bytes()));
    let any = sockaddr("0.0.0.0:80");
    kernel.takes(call(libc::SYS_bind, 0, &[3, 0x1000, 16]).input(1, &any).with(SegmentRole::Local, &any));
    kernel.takes(call(libc::SYS_listen, 0, &[3, 128]));
}

/// A connection accepted from the listener at descriptor 3.
pub(super) fn accepted(kernel: &mut Kernel, fd: i64, peer: &str) {
    kernel.takes(call(libc::SYS_accept4, fd, &[3, 0, 0, 0o4000]).with(SegmentRole::Peer, &sockaddr(peer)));
}

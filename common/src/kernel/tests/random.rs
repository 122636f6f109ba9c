//! Sequences nobody thought of.

use proptest::prelude::*;

use super::*;
use crate::kernel::names::NUMBERS;
use crate::kernel::{Object, TcpState};

/// What a random server does next; numbers choose among what is possible.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Socket { kind: u8 },
    Listen,
    Accept,
    Pair,
    Pipe,
    Epoll,
    EventFd,
    Dup { from: usize },
    DupTo { from: usize, to: usize },
    Close { which: usize },
    Add { set: usize, fd: usize, oneshot: bool },
    Wait { set: usize },
    Write { which: usize, bytes: usize },
    Read { which: usize, bytes: usize },
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let n = || any::<usize>();
    prop_oneof![
        1 => (0..4u8).prop_map(|kind| Step::Socket { kind }),
        1 => Just(Step::Listen),
        2 => Just(Step::Accept),
        1 => Just(Step::Pair),
        1 => Just(Step::Pipe),
        1 => Just(Step::Epoll),
        1 => Just(Step::EventFd),
        2 => n().prop_map(|from| Step::Dup { from }),
        1 => (n(), n()).prop_map(|(from, to)| Step::DupTo { from, to }),
        3 => n().prop_map(|which| Step::Close { which }),
        3 => (n(), n(), any::<bool>()).prop_map(|(set, fd, oneshot)| Step::Add { set, fd, oneshot }),
        1 => n().prop_map(|set| Step::Wait { set }),
        3 => (n(), 0..50usize).prop_map(|(which, bytes)| Step::Write { which, bytes }),
        3 => (n(), 0..50usize).prop_map(|(which, bytes)| Step::Read { which, bytes }),
    ]
}

/// Turns a step into the record that a kernel in this state could give; `None` where it is impossible now.
pub(super) fn record(kernel: &Kernel, step: &Step, serial: usize) -> Option<Made> {
    let free: Vec<i32> = (0..).filter(|&fd| kernel.object(fd).is_none()).take(2).collect();
    let (fd, other) = (free[0], free[1]);
    let all: Vec<i32> = kernel.descriptors().numbers().map(|(fd, _)| fd).collect();
    let pick = |among: &[i32], index: usize| (!among.is_empty()).then(|| i64::from(among[index % among.len()]));
    let those = |wanted: &dyn Fn(&Object) -> bool| -> Vec<i32> {
        all.iter().copied().filter(|&fd| kernel.object(fd).is_some_and(wanted)).collect()
    };
    let epolls = those(&|object| matches!(object, Object::Epoll(_)));
    let made = i64::from(fd);
    Some(match *step {
        Step::Socket { kind } => {
            call(libc::SYS_socket, made, &[[2, 10, 1, 16][usize::from(kind)], if kind == 3 { 3 } else { 1 }, 0])
        }
        Step::Listen => {
            let fresh = those(&|object| matches!(object, Object::Tcp(s) if s.state == TcpState::Fresh));
            let local = sockaddr(&format!("127.0.0.1:{}", 1 + serial));
            call(libc::SYS_listen, 0, &[pick(&fresh, serial)?, 5]).with(SegmentRole::Local, &local)
        }
        Step::Accept => {
            let listeners =
                those(&|object| matches!(object, Object::Tcp(s) if matches!(s.state, TcpState::Listening { .. })));
            let peer = sockaddr(&format!("127.0.0.1:{}", 1 + serial));
            call(libc::SYS_accept4, made, &[pick(&listeners, serial)?, 0, 0, 0]).with(SegmentRole::Peer, &peer)
        }
        Step::Pair => {
            let kind = [1, 2, 5][serial % 3];
            call(libc::SYS_socketpair, 0, &[1, kind, 0, 0x2000]).output(3, &pair(fd, other))
        }
        Step::Pipe => call(libc::SYS_pipe2, 0, &[0x2000, 0]).output(0, &pair(fd, other)),
        Step::Epoll => call(libc::SYS_epoll_create1, made, &[0]),
        Step::EventFd => call(libc::SYS_eventfd2, made, &[3, 0]),
        Step::Dup { from } => call(libc::SYS_dup, made, &[pick(&all, from)?]),
        Step::DupTo { from, to } => {
            let to = (to % 20) as i64;
            call(libc::SYS_dup2, to, &[pick(&all, from)?, to])
        }
        Step::Close { which } => call(libc::SYS_close, 0, &[pick(&all, which)?]),
        Step::Add { set, fd, oneshot } => {
            let (set, fd) = (pick(&epolls, set)?, pick(&all, fd)?);
            let Some(Object::Epoll(epoll)) = kernel.object(set as i32) else { return None };
            let description = kernel.descriptors().entry(fd as i32)?.description;
            let there = epoll.items.contains_key(&crate::kernel::ItemKey { description, fd: fd as i32 });
            let operation = if there { 2 + serial as i64 % 2 } else { 1 };
            let events = if oneshot { 1 | libc::EPOLLONESHOT as u32 } else { 1 };
            let event = [&events.to_le_bytes()[..], &(fd as u64).to_le_bytes()].concat();
            let operation = if operation == 3 {
                libc::EPOLL_CTL_MOD
            } else if operation == 2 {
                libc::EPOLL_CTL_DEL
            } else {
                1
            };
            call(libc::SYS_epoll_ctl, 0, &[set, i64::from(operation), fd, 0x1000]).input(3, &event)
        }
        Step::Wait { set } => {
            let event = [&1u32.to_le_bytes()[..], &(serial as u64 % 8).to_le_bytes()].concat();
            call(libc::SYS_epoll_wait, 1, &[pick(&epolls, set)?, 0x2000, 1, -1]).output(1, &event)
        }
        Step::Write { which, bytes } => {
            let fd = pick(&all, which)?;
            let eventfd = matches!(kernel.object(fd as i32), Some(Object::EventFd(_)));
            let data = if eventfd { words(&[1]) } else { vec![7; bytes] };
            let write = call(libc::SYS_write, data.len() as i64, &[fd, 0x1000, data.len() as i64]);
            if kernel.carries_data(fd as i32) { write.with(SegmentRole::Sent, &data) } else { write }
        }
        Step::Read { which, bytes } => {
            let fd = pick(&all, which)?;
            let there = match kernel.object(fd as i32)? {
                Object::PipeReader(id) => kernel.pipes().get(*id)?.content.len(),
                Object::Pair(end) => match &end.queue {
                    crate::kernel::Queue::Stream(bytes) => bytes.len(),
                    crate::kernel::Queue::Messages(messages) => messages.front().map_or(0, Vec::len),
                },
                _ => bytes,
            };
            call(libc::SYS_read, bytes.min(there) as i64, &[fd, 0x2000, bytes as i64])
        }
    })
}

fn garbage() -> impl Strategy<Value = Record> {
    let small = || prop_oneof![4 => 0..12u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    let role = prop_oneof![
        3 => Just(SegmentRole::In),
        3 => Just(SegmentRole::Out),
        1 => Just(SegmentRole::Sent),
        1 => Just(SegmentRole::Peer),
        1 => Just(SegmentRole::Local),
        1 => Just(SegmentRole::Clock),
        1 => Just(SegmentRole::Path),
        1 => Just(SegmentRole::SigInfo),
    ];
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(0..6u8, 0..200),
        Just(sockaddr("127.0.0.1:9")),
    ];
    let segment =
        (small(), role, 0..4u16, bytes).prop_map(|(address, role, arg, bytes)| Segment { address, role, arg, bytes });
    let number = prop_oneof![9 => prop::sample::select(NUMBERS).prop_map(|n| n as u16), 1 => any::<u16>()];
    let result = prop_oneof![6 => 0..12i64, 1 => -600..0i64, 1 => any::<i64>()];
    let kind = prop_oneof![20 => Just(Kind::Call), 2 => Just(Kind::Signal), 1 => Just(Kind::Epoch)];
    let args = prop::collection::vec(small(), 0..7);
    (kind, number, result, args, prop::collection::vec(segment, 0..5)).prop_map(
        |(kind, number, result, args, segments)| Record {
            segments,
            ..Record::new(kind, number, result).with_args(&args)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_a_kernel_can_do_fits_the_model(steps in prop::collection::vec(step(), 1..120)) {
        let mut kernel = fresh();
        for (serial, step) in steps.iter().enumerate() {
            if let Some(made) = record(&kernel, step, serial) {
                let mut from_log = kernel.clone();
                let logged = as_logged(&made.0);
                from_log.apply(&logged).map_err(|error| TestCaseError::fail(format!("{step:?} as logged: {error}")))?;
                kernel.apply(&made.0).map_err(|error| TestCaseError::fail(format!("{step:?}: {error}")))?;
                kernel.check().map_err(|broken| TestCaseError::fail(format!("{step:?}: {broken}")))?;
                prop_assert!(same(&mut from_log, &kernel), "{:?}: an argument that is not logged counts", step);
            }
        }
        let copy = Kernel::decode(&kernel.encode().unwrap()).unwrap();
        prop_assert_eq!(&copy, &kernel);
    }

    #[test]
    fn garbage_does_not_panic(records in prop::collection::vec(garbage(), 1..150)) {
        let mut kernel = fresh();
        for record in &records {
            let (mut next, mut from_log) = (kernel.clone(), kernel.clone());
            let (full, logged) = (next.apply(record), from_log.apply(&as_logged(record)));
            prop_assert_eq!(&full, &logged, "an argument that is not logged counts: {:?}", record);
            // What is refused may leave a model half changed: it is not used again, as the module says.
            if full.is_ok() {
                prop_assert!(same(&mut from_log, &next), "an argument that is not logged counts: {:?}", record);
                next.check().map_err(|broken| TestCaseError::fail(format!("{record:?}: {broken}")))?;
                kernel = next;
            }
        }
    }
}

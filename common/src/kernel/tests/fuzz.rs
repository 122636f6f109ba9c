//! Records that no kernel could give, applied to models of every kind: an error or a model that holds, never a panic.
//!
//! `FTRUN_FUZZ_CASES` multiplies the number of cases.

use proptest::prelude::*;
use proptest::sample::Index;

use super::random::{record, step};
use super::*;
use crate::kernel::CallName;
use crate::kernel::names::NUMBERS;

fn config(cases: u32) -> ProptestConfig {
    let factor =
        std::env::var("FTRUN_FUZZ_CASES").map_or(1, |text| text.parse().expect("FTRUN_FUZZ_CASES is a number"));
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases.saturating_mul(factor)) }
}

const FREE: i64 = 40;

/// struct epoll_event, packed.
fn event(events: u32, data: u64) -> Vec<u8> {
    [&events.to_le_bytes()[..], &data.to_le_bytes()].concat()
}

/// struct flock: type, whence, start, length.
fn flock(kind: i32, whence: i32, start: i64, len: i64) -> Vec<u8> {
    let shorts = [kind as i16, whence as i16].map(i16::to_le_bytes).concat();
    [shorts, vec![0; 4], start.to_le_bytes().to_vec(), len.to_le_bytes().to_vec(), vec![0; 8]].concat()
}

fn unix(path: &[u8]) -> Vec<u8> {
    [&[1, 0], path, &[0]].concat()
}

/// A process that has one or more of everything, made by records that a kernel gives.
fn crowded() -> Kernel {
    let mut kernel = fresh();
    listening(&mut kernel);
    accepted(&mut kernel, 4, "10.0.0.1:1000");
    accepted(&mut kernel, 5, "10.0.0.2:1000");
    let peer = sockaddr("10.0.0.9:5");
    for made in [
        call(libc::SYS_socket, 6, &[10, 1, 0]),
        call(libc::SYS_connect, -115, &[6, 0x1000, 28]).input(1, &sockaddr("[fe80::1%3]:9")),
        call(libc::SYS_socket, 7, &[2, 2, 0]),
        call(libc::SYS_bind, 0, &[7, 0x1000, 16]).input(1, &peer).with(SegmentRole::Local, &peer),
        call(libc::SYS_socket, 8, &[1, 1, 0]),
        call(libc::SYS_bind, 0, &[8, 0x1000, 9]).input(1, &unix(b"run/a")),
        call(libc::SYS_listen, 0, &[8, 5]),
        call(libc::SYS_accept4, 9, &[8, 0, 0, 0]),
        call(libc::SYS_socketpair, 0, &[1, 1, 0, 0x2000]).output(3, &pair(10, 11)),
        call(libc::SYS_socketpair, 0, &[1, 2, 0, 0x2000]).output(3, &pair(12, 13)),
        call(libc::SYS_write, 3, &[10, 0x1000, 3]).with(SegmentRole::Sent, b"abc"),
        call(libc::SYS_write, 2, &[12, 0x1000, 2]).with(SegmentRole::Sent, b"de"),
        call(libc::SYS_socket, 14, &[16, 3, 0]),
        call(libc::SYS_pipe2, 0, &[0x2000, 0]).output(0, &pair(15, 16)),
        call(libc::SYS_write, 3, &[16, 0x1000, 3]).with(SegmentRole::Sent, b"abc"),
        call(libc::SYS_eventfd2, 17, &[3, 0]),
        call(libc::SYS_timerfd_create, 18, &[1, 0]),
        call(libc::SYS_timerfd_settime, 0, &[18, 0, 0x1000, 0]).input(2, &words(&[1, 0, 1, 0])).clock(1 << 40),
        call(libc::SYS_signalfd4, 19, &[-1, 0x1000, 8, 0]).input(1, &words(&[1 << 9])),
        call(libc::SYS_inotify_init1, 20, &[0]),
        call(libc::SYS_inotify_add_watch, 1, &[20, 0x1000, 2]).input(1, b"data"),
        call(libc::SYS_epoll_create1, 21, &[0]),
        call(libc::SYS_epoll_ctl, 0, &[21, 1, 3, 0x1000]).input(3, &event(1, 3)),
        call(libc::SYS_epoll_ctl, 0, &[21, 1, 4, 0x1000]).input(3, &event(1 | 1 << 30, 4)),
        call(libc::SYS_openat, 22, &[-100, 0x1000, 2, 0]).input(1, b"data/file"),
        call(libc::SYS_openat, 23, &[-100, 0x1000, 0o200_000, 0]).input(1, b"/srv/data"),
        call(libc::SYS_openat, 24, &[-100, 0x1000, 2, 0]).input(1, b"/dev/null"),
        call(libc::SYS_fcntl, 0, &[22, 6, 0x1000]).input(2, &flock(1, 0, 10, 10)),
        call(libc::SYS_dup, 25, &[22]),
        call(libc::SYS_dup, 26, &[4]),
        call(libc::SYS_setitimer, 0, &[0, 0x1000, 0]).input(1, &words(&[1, 0, 1, 0])).clock(1 << 40),
        call(libc::SYS_timer_create, 0, &[1, 0, 0x2000]).output(2, &3i32.to_le_bytes()),
        call(libc::SYS_timer_settime, 0, &[3, 0, 0x1000, 0]).input(2, &words(&[1, 0, 1, 0])).clock(1 << 40),
        call(libc::SYS_timer_create, 0, &[2, 0x1000, 0x2000])
            .input(1, &words(&[7, 10, 0, 0, 0, 0, 0, 0]))
            .output(2, &4i32.to_le_bytes()),
        call(libc::SYS_rt_sigaction, 0, &[10, 0x1000, 0, 8]).input(1, &words(&[0x5000, 4, 0x6000, 0])),
        call(libc::SYS_rt_sigprocmask, 0, &[0, 0x1000, 0, 8]).input(1, &words(&[1 << 9])),
        call(libc::SYS_kill, 0, &[100, 10]),
        call(libc::SYS_sigaltstack, 0, &[0x1000, 0]).input(0, &words(&[0x7000, 0, 8192])),
    ] {
        kernel.takes(made);
    }
    kernel
}

/// A word that means something to some call: a descriptor, an address that a segment has, a flag, a border.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        10 => 0..30u64,
        3 => Just(FREE as u64),
        4 => (1..5u64).prop_map(|page| page << 12),
        2 => (0..32u32).prop_map(|bit| 1 << bit),
        1 => Just((-100i32) as u64),
        1 => Just(u64::MAX),
        1 => Just(1 << 63),
        1 => Just(u64::from(u32::MAX)),
        1 => any::<u64>(),
    ]
}

/// Memory as one of the structures that calls read and write, or as none.
fn memory() -> impl Strategy<Value = Vec<u8>> {
    let scoped = "[fe80::1%7]:443";
    const PATHS: [&str; 11] =
        ["data", "/srv/data", "/srv", "data/file", "../..", "/", ".", "", "x/y/z", "/dev/shm/x", "a\0b"];
    prop_oneof![
        3 => prop::collection::vec(word(), 0..24).prop_map(|all| words(&all)),
        2 => prop::sample::select(&PATHS[..]).prop_map(|path| path.as_bytes().to_vec()),
        2 => prop::sample::select(vec!["127.0.0.1:9", "10.0.0.1:1000", "0.0.0.0:0", "[::ffff:10.0.0.1]:7", scoped])
            .prop_map(sockaddr),
        1 => prop::sample::select(vec![unix(b"run/x"), unix(b"\0hidden"), vec![1, 0], vec![0, 0], vec![16, 0, 0, 0], Vec::new()]),
        1 => (0..30i32, 0..30i32).prop_map(|(one, two)| pair(FREE as i32 + one, FREE as i32 + two)),
        1 => prop::collection::vec((any::<u32>(), 0..8u64), 0..4)
            .prop_map(|all| all.into_iter().flat_map(|(events, data)| event(events, data)).collect()),
        1 => (0..4i32, 0..4i32, any::<i64>(), any::<i64>()).prop_map(|(kind, whence, start, len)| flock(kind, whence, start, len)),
        1 => (0..3i32, 0..2i32, 0..40i64, -20..40i64).prop_map(|(kind, whence, start, len)| flock(kind, whence, start, len)),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => prop::collection::vec(0..4u8, 0..200),
        1 => any::<u8>().prop_map(|byte| vec![byte; 64 << 10]),
    ]
}

fn role() -> impl Strategy<Value = SegmentRole> {
    use SegmentRole::{Clock, In, Local, Out, Path, Peer, Sent, SigInfo};
    prop_oneof![6 => Just(In), 6 => Just(Out), 2 => Just(Sent), 1 => prop::sample::select(vec![Peer, Local, Clock, Path, SigInfo])]
}

/// What goes with most calls: memory read and written through the same arguments, bytes sent, addresses, a clock.
fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let address = prop_oneof![2 => Just(0), 4 => (1..5u64).prop_map(|page| page << 12), 1 => any::<u64>()];
    let segment = (address, role(), 0..6u16, memory()).prop_map(|(address, role, arg, bytes)| Segment {
        address,
        role,
        arg,
        bytes,
    });
    let everywhere = (memory(), memory(), memory()).prop_map(|(read, written, other)| {
        let mut all = Vec::new();
        for arg in 0..4 {
            all.push(Segment { address: 0x1000, role: SegmentRole::In, arg, bytes: read.clone() });
            all.push(Segment { address: 0x2000, role: SegmentRole::Out, arg, bytes: written.clone() });
        }
        for role in [SegmentRole::Sent, SegmentRole::Peer, SegmentRole::Local, SegmentRole::Clock, SegmentRole::SigInfo]
        {
            all.push(Segment { address: 0, role, arg: 0, bytes: other.clone() });
        }
        all
    });
    prop_oneof![2 => prop::collection::vec(segment, 0..5), 3 => everywhere]
}

/// A record of any kind and number.
fn wild() -> impl Strategy<Value = Record> {
    let kind = prop_oneof![
        60 => Just(Kind::Call),
        4 => Just(Kind::Signal),
        1 => Just(Kind::Instruction),
        1 => Just(Kind::Epoch),
        1 => Just(Kind::Patch),
        1 => Just(Kind::Exec),
    ];
    let number = prop_oneof![
        6 => prop::sample::select(NUMBERS).prop_map(|number| number as u16),
        2 => 0..470u16,
        1 => 0..70u16,
        1 => any::<u16>(),
    ];
    let result = prop_oneof![8 => 0..30i64, 4 => FREE..FREE + 40, 1 => -600..0i64, 1 => any::<i64>()];
    let args = prop_oneof![9 => prop::array::uniform6(word()).prop_map(|args| (args, 0x3f)), 1 => (prop::array::uniform6(word()), 0..64u8)];
    (kind, number, result, args, any::<bool>(), segments()).prop_map(
        |(kind, number, result, (mut args, mask), aimed, segments)| {
            // The descriptor in a crowded process that has what the call is about.
            let object = match i64::from(number) {
                libc::SYS_epoll_ctl | libc::SYS_epoll_wait => Some(21),
                libc::SYS_timerfd_settime => Some(18),
                libc::SYS_timer_settime | libc::SYS_timer_delete => Some(3),
                libc::SYS_timer_create => Some(1),
                libc::SYS_inotify_add_watch | libc::SYS_inotify_rm_watch => Some(20),
                libc::SYS_accept | libc::SYS_accept4 => Some(3),
                libc::SYS_signalfd | libc::SYS_signalfd4 => Some(19),
                // Families.
                libc::SYS_socket => Some([1, 2, 10, 16][args[0] as usize % 4]),
                _ => None,
            };
            if let (true, Some(fd)) = (aimed, object) {
                args[0] = fd;
                args[1] = args[1] % 3 + 1;
            }
            Record { segments, ..Record::new(kind, number, result).with_logged(&args, mask) }
        },
    )
}

/// Which model a run begins with.
fn beginning() -> impl Strategy<Value = Kernel> {
    let empty = Kernel::new(Initial::default());
    let grown = prop::collection::vec(step(), 1..60).prop_map(|steps| {
        let mut kernel = fresh();
        for (serial, step) in steps.iter().enumerate() {
            if let Some(made) = record(&kernel, step, serial) {
                kernel.apply(&made.0).unwrap();
            }
        }
        kernel
    });
    prop_oneof![1 => Just(empty), 1 => Just(fresh()), 4 => Just(crowded()), 2 => grown]
}

/// Everything that is asked of a model while it is used.
fn ask(kernel: &mut Kernel) {
    let fds: Vec<i32> = kernel.descriptors().numbers().map(|(fd, _)| fd).collect();
    for fd in fds {
        let _ = (kernel.conn_of_fd(fd), kernel.listener_of_fd(fd), kernel.carries_data(fd));
    }
    let _ = (kernel.listeners().count(), kernel.unprotected());
    let settings = kernel.timers().iter().map(|(_, setting)| setting);
    let settings = settings.chain(kernel.posix_timers().iter().filter_map(|(_, timer)| timer.setting));
    let _ = settings.map(|setting| setting.left_ns(u64::MAX).min(setting.left_ns(0))).max();
    let _ = (kernel.take_progress(), kernel.take_unlistened());
}

/// The record is refused with a message, or the model holds afterwards, and is the same for those who have what is logged, and
/// through a snapshot.
fn apply(kernel: Kernel, record: &Record) -> Result<Kernel, TestCaseError> {
    let (mut next, mut from_log) = (kernel.clone(), kernel.clone());
    let (full, logged) = (next.apply(record), from_log.apply(&as_logged(record)));
    prop_assert_eq!(&full, &logged, "an argument that is not logged counts: {:?}", record);
    if let Err(error) = full {
        prop_assert!(!error.to_string().is_empty());
        return Ok(kernel);
    }
    prop_assert!(same(&mut from_log, &next), "an argument that is not logged counts: {:?}", record);
    next.check().map_err(|broken| TestCaseError::fail(format!("{record:?}: {broken}")))?;
    let bytes = next.encode().unwrap();
    let copy = Kernel::decode(&bytes).map_err(|error| TestCaseError::fail(format!("{record:?}: {error}")))?;
    prop_assert_eq!(&copy, &next);
    ask(&mut next);
    Ok(next)
}

/// Encoded models that were tampered with in ways that a checksum would not show.
fn tampered(kernel: &Kernel, changes: &[(u8, Index, u64)]) -> Vec<u8> {
    let mut bytes = kernel.encode().unwrap();
    for (how, at, value) in changes {
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] ^= 1 << (value % 8),
            1 => bytes[at] = *value as u8,
            2 => {
                let end = bytes.len().min(at / 8 * 8 + 8);
                bytes[at / 8 * 8..end].copy_from_slice(&value.to_le_bytes()[..end - at / 8 * 8]);
            }
            3 => bytes.truncate(at.max(1)),
            _ => {
                let end = bytes.len().min(at + (*value % 40) as usize);
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

#[test]
fn a_model_whose_ids_would_run_out_is_refused() {
    let mut kernel = fresh();
    kernel.next_listener = u64::MAX;
    let error = Kernel::decode(&kernel.encode().unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("the next description, pipe and listener are [2, 0, 18446744073709551615]"),
        "{error}"
    );
}

#[test]
fn a_model_that_is_not_encoded_as_ftrun_does_is_refused() {
    let mut kernel = fresh();
    for clock in [1, 7] {
        let now = words(&[5, 0]);
        kernel.takes(call(libc::SYS_clock_gettime, 0, &[clock, 0x2000]).output(1, &now));
    }
    let sound = kernel.encode().unwrap();
    let clock = |clock: i32| [&clock.to_le_bytes()[..], &5_000_000_000u64.to_le_bytes()].concat();
    let there = [clock(1), clock(7)].concat();
    let at = sound.windows(there.len()).position(|window| window == there).unwrap();
    for forged in [[clock(7), clock(1)].concat(), [clock(1), clock(1)].concat()] {
        let mut bytes = sound.clone();
        bytes.splice(at..at + there.len(), forged);
        let error = Kernel::decode(&bytes).unwrap_err();
        assert!(matches!(error, crate::kernel::DecodeError::Form { .. }), "{error}");
    }
}

#[test]
fn a_crowded_process_holds() {
    let mut kernel = crowded();
    ask(&mut kernel);
    assert_eq!(kernel.descriptors().numbers().count(), 27);
}

/// Calls that make what the model cannot carry, and those that succeed as a record of another kind.
const NOT_CARRIED: [i64; 19] = [
    libc::SYS_bpf,
    libc::SYS_clone3,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_fanotify_init,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_io_uring_setup,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_mq_open,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_userfaultfd,
];

#[test]
fn wild_records_reach_every_call_that_the_model_follows() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut taken = std::collections::BTreeSet::new();
    let crowded = crowded();
    let missed = |taken: &std::collections::BTreeSet<i64>| -> Vec<CallName> {
        let followed = NUMBERS.iter().filter(|number| !taken.contains(number) && !NOT_CARRIED.contains(number));
        followed.map(|&number| CallName::Call(number as u16)).collect()
    };
    // Some are rare: sendmmsg takes as many messages as it was given.
    for round in 0..300_000 {
        let record = wild().new_tree(&mut runner).unwrap().current();
        let succeeds = !(-4095..0).contains(&record.result);
        if record.kind == Kind::Call && succeeds && crowded.clone().apply(&record).is_ok() {
            taken.insert(i64::from(record.number));
        }
        if round % 10_000 == 0 && missed(&taken).is_empty() {
            return;
        }
    }
    assert_eq!(missed(&taken), []);
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn wild_records_are_refused_or_leave_a_model_that_holds(
        kernel in beginning(), records in prop::collection::vec(wild(), 1..60), end in any::<bool>(),
    ) {
        let mut kernel = kernel;
        for record in &records {
            kernel = apply(kernel, record)?;
        }
        let mut lost = kernel.clone();
        lost.lose_children();
        prop_assert_eq!((lost.living_children(), lost.check()), (0, Ok(())));
        prop_assert_eq!(Kernel::decode(&lost.encode().unwrap()).unwrap(), lost);
        if end {
            kernel = apply(kernel, &Record::new(Kind::End, 0, 256))?;
            prop_assert!(kernel.ended().is_some());
            for record in &records {
                let after = kernel.clone().apply(record);
                prop_assert!(matches!(after, Err(ModelError::AfterEnd { .. })), "{:?}", after);
            }
        }
    }

    #[test]
    fn a_tampered_model_is_refused_or_bears_any_record(
        kernel in beginning(),
        changes in prop::collection::vec((0..5u8, any::<Index>(), prop_oneof![0..64u64, any::<u64>(), Just(u64::MAX)]), 1..4),
        records in prop::collection::vec(wild(), 0..20),
    ) {
        let bytes = tampered(&kernel, &changes);
        match Kernel::decode(&bytes) {
            Ok(mut kernel) => {
                prop_assert_eq!(kernel.encode().unwrap(), bytes);
                for record in &records {
                    kernel = apply(kernel, record)?;
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

use super::*;
use crate::golive::{Target, TargetError};

fn numbers(table: &Table) -> Vec<i64> {
    table.ran.iter().map(|ran| ran.number).collect()
}

/// A server with something of everything that is set inside it.
fn model() -> Model {
    let mut model = Model::new();
    model
        .plain(libc::SYS_umask, 0o22, &[0o27])
        .input(libc::SYS_prctl, 0, &[libc::PR_SET_NAME.into(), 0x1000], 1, b"worker")
        .plain(libc::SYS_prctl, 0, &[libc::PR_SET_DUMPABLE.into(), 1])
        .plain(libc::SYS_prctl, 0, &[libc::PR_SET_KEEPCAPS.into(), 1])
        .input(libc::SYS_prlimit64, 0, &[0, 7, 0x1000, 0], 2, &words(&[10, 20]))
        .call(libc::SYS_chdir, 0, &[0x1000], &[(SegmentRole::Path, 0, b"/var/empty")])
        .input(libc::SYS_setgroups, 0, &[2, 0x1000], 1, &pair(7, 8))
        .input(libc::SYS_rt_sigprocmask, 0, &[0, 0x1000, 0, 8], 1, &words(&[common::kernel::bit(libc::SIGUSR1)]))
        .plain(libc::SYS_kill, 0, &[100, libc::SIGUSR1.into()]);
    let clock = (3 * SECOND).to_le_bytes();
    let spec = words(&[1, 0, 10, 500_000]);
    let set = [(SegmentRole::In, 1, spec.as_slice()), (SegmentRole::Clock, 0, &clock)];
    model.call(libc::SYS_setitimer, 0, &[0, 0x1000, 0], &set);
    model
}

fn revived(model: &Model, answers: &[(i64, i64)]) -> Result<(Table, Report), GoLiveError> {
    let mut table = Table::new();
    table.answers.extend(answers.iter().copied());
    let report = revive(&model.kernel, &mut table, &mut model.prepare(), clock(5 * SECOND))?;
    Ok((table, report))
}

#[test]
fn the_server_is_who_it_was() {
    let (table, report) = revived(&model(), &[(libc::SYS_geteuid, 0), (libc::SYS_getpid, 4321)]).unwrap();
    assert_eq!(report.losses, []);
    assert_eq!(table.only(libc::SYS_umask).args[0], 0o27);
    assert_eq!(table.only(libc::SYS_chdir).scratch, b"/var/empty\0");
    assert_eq!(table.only(libc::SYS_prlimit64).scratch, words(&[10, 20]));
    let options: Vec<_> = table.ran.iter().filter(|ran| ran.number == libc::SYS_prctl).map(|ran| ran.args[0]).collect();
    assert_eq!(options, [libc::PR_SET_NAME as u64, libc::PR_SET_KEEPCAPS as u64]);
    let groups = table.only(libc::SYS_setgroups);
    assert_eq!((groups.args[0], &groups.scratch), (2, &pair(7, 8)));
    assert_eq!(table.only(libc::SYS_setresuid).args[..3], [1000; 3]);
    assert_eq!(table.only(libc::SYS_kill).args[..2], [4321, libc::SIGUSR1 as u64], "itself, by its real pid");
    let (interval, left) = interval_timer(&table);
    assert_eq!(interval, SECOND);
    assert!((7 * SECOND..=8 * SECOND + SECOND / 2).contains(&left), "{left}");
}

/// Interval and value, in nanoseconds, of the interval timer that was set.
fn interval_timer(table: &Table) -> (u64, u64) {
    let spec = &table.only(libc::SYS_setitimer).scratch;
    let word = |at: usize| u64::from_le_bytes(spec[at..at + 8].try_into().unwrap());
    (word(0) * SECOND + word(8) * 1000, word(16) * SECOND + word(24) * 1000)
}

#[test]
fn going_live_slowly_makes_no_timer_late() {
    let mut model = model();
    model.plain(libc::SYS_eventfd2, 3, &[0, 0]);
    for (fd, clock) in [(4, libc::CLOCK_MONOTONIC), (5, libc::CLOCK_REALTIME)] {
        model.plain(libc::SYS_timerfd_create, fd, &[clock.into(), 0]);
        let spec = words(&[0, 0, 10, 0]);
        let clock = (3 * SECOND).to_le_bytes();
        let set = [(SegmentRole::In, 2, spec.as_slice()), (SegmentRole::Clock, 0, &clock)];
        model.call(libc::SYS_timerfd_settime, 0, &[fd, 0, 0x1000, 0], &set);
    }
    let mut table = Table::new();
    // Descriptors are placed before timers are set.
    table.placing_ns = SECOND / 10;
    let begun = tracer::clock::now_ns(libc::CLOCK_MONOTONIC);
    revive(&model.kernel, &mut table, &mut model.prepare(), clock(5 * SECOND)).unwrap();
    let due = begun + 8 * SECOND;
    let now = tracer::clock::now_ns(libc::CLOCK_MONOTONIC);
    assert!(now - begun >= 5 * SECOND / 10, "0 to 5 were placed");
    let (_, left) = interval_timer(&table);
    let most = due + SECOND / 2 - (begun + 5 * SECOND / 10) + SECOND / 100;
    assert!(left <= most, "{left} ns are left of the interval timer, at most {most} expected");
    for fd in [4, 5] {
        let left = table.left_ns(fd);
        let most = due - now + SECOND / 100;
        assert!(left <= most && left > most - SECOND / 2, "{left} ns are left of timer {fd}, at most {most} expected");
    }
}

#[test]
fn an_overdue_interval_timer_expires_and_keeps_its_times() {
    let mut model = Model::new();
    let (clock_at, spec) = ((3 * SECOND).to_le_bytes(), words(&[10, 0, 10, 0]));
    let set = [(SegmentRole::In, 1, spec.as_slice()), (SegmentRole::Clock, 0, &clock_at)];
    model.call(libc::SYS_setitimer, 0, &[0, 0x1000, 0], &set);
    let mut table = Table::new();
    revive(&model.kernel, &mut table, &mut model.prepare(), clock(25 * SECOND)).unwrap();
    assert_eq!(table.only(libc::SYS_rt_sigqueueinfo).args[1], libc::SIGALRM as u64);
    let (interval, left) = interval_timer(&table);
    assert_eq!(interval, 10 * SECOND);
    assert!((7 * SECOND..=8 * SECOND).contains(&left), "expiries are at 13, 23 and 33 s: {left} ns");
}

#[test]
fn what_was_locked_in_memory_is_locked() {
    let mut model = Model::new();
    model.plain(libc::SYS_mlock, 0, &[0x2000, 0x1000]).plain(libc::SYS_mlock, 0, &[0x4000, 0x5000]);
    model.plain(libc::SYS_munlock, 0, &[0x8000, 0x1000]).plain(libc::SYS_mlockall, 0, &[libc::MCL_FUTURE.into()]);
    model.plain(libc::SYS_mmap, 0x8000, &[0, 0x1000, 3, 0x22, -1, 0]);
    let (table, report) = revived(&model, &[]).unwrap();
    assert_eq!(report.losses, []);
    let locked: Vec<_> = table.ran.iter().filter(|ran| ran.number == libc::SYS_mlock2).map(|ran| ran.args).collect();
    let expected = [(0x2000, 0x1000), (0x4000, 0x1000), (0x8000, 0x1000)];
    assert_eq!(locked, expected.map(|(start, len)| [start, len, 0, 0, 0, 0]));
    assert_eq!(table.only(libc::SYS_mlockall).args[0], libc::MCL_FUTURE as u64);
    let (_, report) = revived(&model, &[(libc::SYS_mlock2, -12), (libc::SYS_mlockall, -1)]).unwrap();
    let what: Vec<_> = report.losses.iter().map(|loss| loss.what.as_str()).collect();
    assert_eq!(what, ["12288 bytes of locked memory", "that new memory is locked (mlockall)"]);
}

#[test]
fn rights_go_last_and_what_interrupts_after_them() {
    let (table, _) = revived(&model(), &[(libc::SYS_geteuid, 0)]).unwrap();
    let order = numbers(&table);
    let last = [
        libc::SYS_setgroups,
        libc::SYS_setresgid,
        libc::SYS_setresuid,
        libc::SYS_getpid,
        libc::SYS_kill,
        libc::SYS_setitimer,
    ];
    assert_eq!(order[order.len() - last.len()..], last);
}

#[test]
fn rights_that_cannot_be_given_up_end_the_attempt() {
    let refused = revived(&model(), &[(libc::SYS_geteuid, 0), (libc::SYS_setresuid, -1)]).unwrap_err();
    assert!(refused.to_string().starts_with("setresuid inside the server failed"), "{refused}");
}

#[test]
fn without_root_other_users_are_a_loss() {
    let (table, report) = revived(&model(), &[(libc::SYS_geteuid, 1234)]).unwrap();
    assert_eq!(report.losses[0].what, "user 1000 and group 1000");
    assert!(!numbers(&table).contains(&libc::SYS_setresuid));
    let (_, report) = revived(&model(), &[]).unwrap();
    assert_eq!(report.losses, [], "the same user needs nothing");
}

#[test]
fn what_does_not_matter_much_is_a_loss() {
    let (_, report) = revived(&model(), &[(libc::SYS_chdir, -2), (libc::SYS_prlimit64, -1)]).unwrap();
    let what: Vec<_> = report.losses.iter().map(|loss| loss.what.as_str()).collect();
    assert_eq!(what, ["the working directory /var/empty", "resource limit 7"]);
}

#[test]
fn a_changed_root_is_entered_first_or_not_at_all() {
    let mut model = Model::new();
    model.call(libc::SYS_chroot, 0, &[0x1000], &[(SegmentRole::Path, 0, b"/jail")]).call(
        libc::SYS_chdir,
        0,
        &[0x1000],
        &[(SegmentRole::Path, 0, b"/jail/var")],
    );
    let (table, _) = revived(&model, &[]).unwrap();
    assert_eq!(table.only(libc::SYS_chroot).scratch, b"/jail\0");
    assert_eq!(table.only(libc::SYS_chdir).scratch, b"/var\0");
    assert!(matches!(revived(&model, &[(libc::SYS_chroot, -1)]), Err(GoLiveError::Refused { call: "chroot", .. })));
}

#[test]
fn a_session_leader_leads_again() {
    let mut model = Model::new();
    model.plain(libc::SYS_setsid, 100, &[]);
    let (table, report) = revived(&model, &[(libc::SYS_setsid, -1)]).unwrap();
    table.only(libc::SYS_setsid);
    assert_eq!(report.losses, [], "it leads already");
}

#[test]
fn a_server_that_ended_does_not_go_live() {
    let mut model = Model::new();
    let mut sockets = model.prepare();
    model.kernel.apply(&Record::new(Kind::End, 0, 256)).unwrap();
    let error = model.revive_at(&mut sockets, SECOND).unwrap_err();
    assert!(matches!(error, GoLiveError::Ended { status: 256 }));
}

#[test]
fn a_target_that_fails_is_reported_as_such() {
    struct Dead;
    fn dead() -> TargetError {
        TargetError { what: "place a descriptor".to_owned(), source: std::io::Error::from_raw_os_error(libc::ESRCH) }
    }
    impl Target for Dead {
        fn call(&mut self, _: i64, _: [u64; 6]) -> Result<i64, TargetError> {
            Ok(0)
        }
        fn place(&mut self, _: std::os::fd::BorrowedFd<'_>, _: i32, _: bool) -> Result<(), TargetError> {
            Err(dead())
        }
        fn scratch(&mut self, _: &[u8]) -> Result<u64, TargetError> {
            Err(dead())
        }
        fn areas(&mut self) -> Result<Vec<(u64, u64)>, TargetError> {
            Err(dead())
        }
    }
    let model = Model::new();
    let error = revive(&model.kernel, &mut Dead, &mut model.prepare(), clock(SECOND)).unwrap_err();
    assert!(error.to_string().contains("cannot place a descriptor in the server: No such process"), "{error}");
}

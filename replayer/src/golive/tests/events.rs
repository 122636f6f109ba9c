use std::io::Write;

use nix::poll::{PollFd, PollFlags};

use super::*;

const IN: i32 = libc::EPOLLIN;
const OUT: i32 = libc::EPOLLOUT;

fn add(model: &mut Model, set: i64, fd: i64, events: i32, data: u64) {
    let event = [&(events as u32).to_le_bytes()[..], &data.to_le_bytes()].concat();
    model.input(libc::SYS_epoll_ctl, 0, &[set, libc::EPOLL_CTL_ADD.into(), fd, 0x1000], 3, &event);
}

fn eventfd(model: &mut Model, fd: i64, count: i64) {
    model.plain(libc::SYS_eventfd2, fd, &[count, 0]);
}

#[test]
fn eventfds_have_their_counts() {
    let mut model = Model::new();
    eventfd(&mut model, 3, 7);
    model.plain(libc::SYS_eventfd2, 4, &[2, i64::from(libc::EFD_SEMAPHORE | libc::EFD_NONBLOCK)]);
    eventfd(&mut model, 5, 0);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.flags(4) & libc::O_NONBLOCK, libc::O_NONBLOCK);
    assert_eq!(table.read(3).unwrap(), words(&[7]));
    assert_eq!([table.read(4).unwrap(), table.read(4).unwrap()], [words(&[1]), words(&[1])]);
    for number in [3, 4, 5] {
        assert_eq!(table.read(number).unwrap_err().raw_os_error(), Some(libc::EAGAIN));
    }
}

#[test]
fn an_epoll_set_waits_for_what_it_did() {
    let mut model = Model::new();
    model.plain(libc::SYS_epoll_create1, 3, &[0]);
    eventfd(&mut model, 4, 1);
    eventfd(&mut model, 5, 0);
    model.plain(libc::SYS_epoll_create1, 6, &[0]);
    add(&mut model, 3, 4, IN | libc::EPOLLET, 0x4444_0000_0000_0004);
    add(&mut model, 3, 5, IN, 5);
    add(&mut model, 3, 6, IN, 6);
    add(&mut model, 6, 5, OUT, 55);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.reports(3, 0), [(6, IN), (0x4444_0000_0000_0004, IN)]);
    assert_eq!(table.reports(3, 0), [(6, IN)], "edge-triggered once");
    table.file(5).write_all(&words(&[1])).unwrap();
    assert_eq!(table.reports(3, 0), [(5, IN), (6, IN)]);
    assert_eq!(table.reports(6, 0), [(55, OUT)]);
}

#[test]
fn a_large_set_needs_several_scratch_areas() {
    let mut model = Model::new();
    model.plain(libc::SYS_epoll_create1, 3, &[0]);
    for fd in 4..404 {
        eventfd(&mut model, fd, i64::from(fd == 402));
        add(&mut model, 3, fd, IN, fd as u64);
    }
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.reports(3, 0), [(402, IN)]);
}

#[test]
fn a_one_shot_item_that_fired_stays_quiet() {
    let mut model = Model::new();
    model.plain(libc::SYS_epoll_create1, 3, &[0]);
    for fd in [4, 5] {
        eventfd(&mut model, fd, 1);
        add(&mut model, 3, fd, IN | libc::EPOLLONESHOT, fd as u64);
    }
    let fired = [&(IN as u32).to_le_bytes()[..], &4u64.to_le_bytes()].concat();
    model.call(libc::SYS_epoll_wait, 1, &[3, 0x1000, 8, -1], &[(SegmentRole::Out, 1, &fired)]);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.reports(3, 0), [(5, IN)]);
    assert_eq!(table.reports(3, 0), []);
    let mut again = nix::sys::epoll::EpollEvent::new(nix::sys::epoll::EpollFlags::EPOLLIN, 4);
    table.epoll(3).modify(&table.open[&4].0, &mut again).unwrap();
    assert_eq!(table.reports(3, 0), [(4, IN)], "the item is there");
}

#[test]
fn an_item_outlives_its_number() {
    let mut model = Model::new();
    model.plain(libc::SYS_epoll_create1, 3, &[0]);
    eventfd(&mut model, 4, 1);
    add(&mut model, 3, 4, IN, 44);
    model.plain(libc::SYS_dup, 9, &[4]).plain(libc::SYS_close, 0, &[4]);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.reports(3, 0), [(44, IN)]);
    assert!(!table.open.contains_key(&4), "the number was only lent");

    eventfd(&mut model, 4, 5);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.reports(3, 0), [(44, IN)]);
    assert_eq!(table.read(4).unwrap(), words(&[5]), "the number means what it did");
    assert_eq!(table.open.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 9]);
}

#[test]
fn what_ftrun_keeps_open_meanwhile_is_not_in_the_way_of_a_number_that_is_lent() {
    let mut model = Model::new();
    model.plain(libc::SYS_epoll_create1, 3, &[0]);
    eventfd(&mut model, 4, 1);
    model.plain(libc::SYS_dup, 7, &[4]);
    add(&mut model, 3, 7, IN, 44);
    model.plain(libc::SYS_close, 0, &[7]);
    assert_eq!(crate::golive::numbers_apart(&model.kernel, 5).collect::<Vec<_>>(), [8, 6]);
}

#[test]
fn what_cannot_be_waited_for_is_reported() {
    let mut model = Model::new();
    model.plain(libc::SYS_epoll_create1, 3, &[0]);
    let path = b"/nowhere/at/all";
    model.call(libc::SYS_openat, 4, &[-100, 0x1000, 0, 0], &[(SegmentRole::In, 1, path)]);
    add(&mut model, 3, 4, IN, 4);
    let (_, report) = model.revive();
    assert_eq!(report.losses.len(), 2, "{:?}", report.losses);
    assert_eq!(report.losses[1].what, "descriptor 4 in an epoll set");
}

fn set_timer(model: &mut Model, fd: i64, flags: i32, interval_ns: u64, value_ns: u64, at_ns: u64) {
    let part = |ns: u64| [ns / SECOND, ns % SECOND];
    let spec = words(&[part(interval_ns), part(value_ns)].concat());
    model.call(
        libc::SYS_timerfd_settime,
        0,
        &[fd, flags.into(), 0x1000, 0],
        &[(SegmentRole::In, 2, &spec), (SegmentRole::Clock, 0, &at_ns.to_le_bytes())],
    );
}

fn left(table: &Table, number: i32) -> Option<std::time::Duration> {
    // Safe wrappers only ask timers that they made themselves; /proc shows any.
    let fd = std::os::fd::AsRawFd::as_raw_fd(&table.fd(number));
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let value = info.lines().find_map(|line| line.strip_prefix("it_value: (")).unwrap();
    let (seconds, nanos) = value.trim_end_matches(')').split_once(", ").unwrap();
    let left = std::time::Duration::new(seconds.parse().unwrap(), nanos.parse().unwrap());
    (!left.is_zero()).then_some(left)
}

#[test]
fn timers_have_what_is_left_of_them() {
    let mut model = Model::new();
    for fd in 3..8 {
        model.plain(libc::SYS_timerfd_create, fd, &[i64::from(libc::CLOCK_MONOTONIC), 0]);
    }
    let at = 1000 * SECOND;
    set_timer(&mut model, 3, 0, 0, 500 * SECOND, at);
    set_timer(&mut model, 4, 0, 0, SECOND, at);
    set_timer(&mut model, 5, libc::TFD_TIMER_ABSTIME, 0, 1400 * SECOND, at);
    set_timer(&mut model, 6, 0, 50 * SECOND, 50 * SECOND, at);
    model.call(libc::SYS_read, 8, &[6, 0x1000, 8], &[(SegmentRole::Out, 1, &words(&[1]))]);
    let (table, report) = model.revive_at(&mut model.prepare(), 1060 * SECOND).unwrap();
    assert_eq!(report.losses, []);
    let near = |number, seconds: u64| {
        let left = left(&table, number).unwrap().as_secs_f64();
        assert!((seconds as f64 - 5.0..=seconds as f64).contains(&left), "descriptor {number}: {left} s left");
    };
    near(3, 440);
    near(5, 340);
    near(6, 40);
    assert_eq!(left(&table, 7), None);
    let mut poll = [PollFd::new(table.fd(4), PollFlags::POLLIN)];
    assert_eq!(nix::poll::poll(&mut poll, 10_000u16).unwrap(), 1, "it ran out while nobody was there");
    assert_eq!(table.read(4).unwrap(), words(&[1]));
}

#[test]
fn a_date_stays_a_date() {
    let mut model = Model::new();
    model.plain(libc::SYS_timerfd_create, 3, &[i64::from(libc::CLOCK_REALTIME), 0]);
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME).unwrap().tv_sec() as u64;
    set_timer(&mut model, 3, libc::TFD_TIMER_ABSTIME, 0, (now + 900) * SECOND, 5);
    let (table, _) = model.revive();
    let left = left(&table, 3).unwrap().as_secs();
    assert!((890..=900).contains(&left), "{left} s left");
}

#[test]
fn watches_have_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    for path in [&one, &two] {
        std::fs::create_dir(path).unwrap();
    }
    let mut model = Model::new();
    model.plain(libc::SYS_inotify_init1, 3, &[libc::IN_NONBLOCK.into()]);
    for (wd, path) in [(2, &one), (5, &two)] {
        let path = path.to_str().unwrap().as_bytes();
        let args = [3, 0x1000, libc::IN_CREATE.into()];
        model.call(libc::SYS_inotify_add_watch, wd, &args, &[(SegmentRole::Path, 0, path)]);
    }
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.read(3).unwrap_err().raw_os_error(), Some(libc::EAGAIN), "no events of its own making");
    std::fs::write(two.join("x"), "").unwrap();
    let event = table.read(3).unwrap();
    assert_eq!(event[..4], 5i32.to_le_bytes());
    std::fs::write(one.join("x"), "").unwrap();
    assert_eq!(table.read(3).unwrap()[..4], 2i32.to_le_bytes());
}

#[test]
fn a_signalfd_has_its_mask() {
    let mut model = Model::new();
    let mask = common::kernel::bit(libc::SIGUSR1) | common::kernel::bit(libc::SIGHUP);
    model.input(libc::SYS_signalfd4, 3, &[-1, 0x1000, 8, 0], 1, &words(&[mask]));
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    let fd = std::os::fd::AsRawFd::as_raw_fd(&table.fd(3));
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let shown = info.lines().find_map(|line| line.strip_prefix("sigmask:")).unwrap().trim();
    assert_eq!(u64::from_str_radix(shown, 16).unwrap(), mask);
}

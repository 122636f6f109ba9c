use super::*;
use crate::kernel::{Epoll, Item, ItemKey, Object, Queue};

const MS: u64 = 1_000_000;

fn epoll(kernel: &Kernel, fd: i32) -> &Epoll {
    match kernel.object(fd) {
        Some(Object::Epoll(epoll)) => epoll,
        other => panic!("{other:?}"),
    }
}

fn event(events: u32, data: u64) -> Vec<u8> {
    [&events.to_le_bytes()[..], &data.to_le_bytes()].concat()
}

fn ctl(operation: i32, fd: i64, events: u32, data: u64) -> Made {
    call(libc::SYS_epoll_ctl, 0, &[3, i64::from(operation), fd, 0x1000]).input(3, &event(events, data))
}

#[test]
fn an_epoll_item_lives_as_long_as_its_description() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_epoll_create1, 3, &[0]));
    kernel.takes(call(libc::SYS_eventfd2, 4, &[0, 0]));
    kernel.takes(call(libc::SYS_dup, 5, &[4]));
    kernel.takes(ctl(libc::EPOLL_CTL_ADD, 4, 1, 44));
    kernel.takes(ctl(libc::EPOLL_CTL_ADD, 5, 4, 55));
    let key = ItemKey { description: kernel.descriptors().entry(4).unwrap().description, fd: 4 };
    assert_eq!(epoll(&kernel, 3).items[&key], Item { events: 1, data: 44, armed: true });
    kernel.takes(call(libc::SYS_close, 0, &[4]));
    assert_eq!(epoll(&kernel, 3).items.len(), 2, "5 still holds the description");
    kernel.takes(call(libc::SYS_close, 0, &[5]));
    assert_eq!(epoll(&kernel, 3).items.len(), 0);
}

#[test]
fn items_are_changed_and_removed() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_epoll_create, 3, &[8]));
    kernel.takes(ctl(libc::EPOLL_CTL_ADD, 0, 1, 44));
    kernel.takes(ctl(libc::EPOLL_CTL_MOD, 0, 4, 45));
    assert_eq!(epoll(&kernel, 3).items.values().next().unwrap().data, 45);
    assert!(matches!(kernel.refuses(ctl(libc::EPOLL_CTL_ADD, 0, 1, 1)), ModelError::Inconsistent { .. }));
    assert!(matches!(kernel.refuses(ctl(libc::EPOLL_CTL_MOD, 1, 1, 1)), ModelError::Inconsistent { .. }));
    kernel.takes(ctl(libc::EPOLL_CTL_DEL, 0, 0, 0));
    assert!(matches!(kernel.refuses(ctl(libc::EPOLL_CTL_DEL, 0, 0, 0)), ModelError::Inconsistent { .. }));
    assert!(epoll(&kernel, 3).items.is_empty());
}

#[test]
fn a_one_shot_item_that_fired_is_disarmed_until_it_is_changed() {
    let oneshot = 1 | libc::EPOLLONESHOT as u32;
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_epoll_create1, 3, &[0]));
    kernel.takes(ctl(libc::EPOLL_CTL_ADD, 0, oneshot, 7));
    kernel.takes(ctl(libc::EPOLL_CTL_ADD, 1, 1, 8));
    let armed = |kernel: &Kernel| epoll(kernel, 3).items.values().map(|item| item.armed).collect::<Vec<_>>();
    let wait = call(libc::SYS_epoll_wait, 2, &[3, 0x2000, 10, -1]);
    kernel.takes(wait.output(1, &[event(1, 7), event(1, 8)].concat()));
    assert_eq!(armed(&kernel), [false, true]);
    kernel.takes(ctl(libc::EPOLL_CTL_MOD, 0, oneshot, 7));
    assert_eq!(armed(&kernel), [true, true]);
}

#[test]
fn a_pipe_holds_what_was_written_and_not_read() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_pipe2, 0, &[0x2000, i64::from(libc::O_NONBLOCK)]).output(0, &pair(3, 4)));
    assert!(kernel.carries_data(4) && !kernel.carries_data(3) && !kernel.carries_data(0));
    let write = call(libc::SYS_write, 5, &[4, 0x1000, 5]);
    kernel.takes(write.clone().with(SegmentRole::Sent, b"hel").with(SegmentRole::Sent, b"lo"));
    kernel.takes(call(libc::SYS_read, 2, &[3, 0x2000, 2]).output(1, b"he"));
    assert_eq!(kernel.pipes().iter().next().unwrap().1.content, b"llo");
    assert!(matches!(kernel.refuses(write.clone()), ModelError::Incomplete { .. }));
    let short = write.with(SegmentRole::Sent, b"hel");
    assert!(matches!(kernel.refuses(short), ModelError::Inconsistent { .. }));
    assert!(matches!(kernel.refuses(call(libc::SYS_read, 4, &[3, 0x2000, 9])), ModelError::Inconsistent { .. }));
    kernel.takes(call(libc::SYS_close, 0, &[4]));
    kernel.takes(call(libc::SYS_read, 3, &[3, 0x2000, 9]));
    kernel.takes(call(libc::SYS_close, 0, &[3]));
    assert_eq!(kernel.pipes().iter().count(), 0);
}

#[test]
fn what_a_read_leaves_of_a_packet_is_lost() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_pipe2, 0, &[0x2000, i64::from(libc::O_DIRECT)]).output(0, &pair(3, 4)));
    let write = |bytes: &[u8]| call(libc::SYS_write, bytes.len() as i64, &[4, 0, 0]).with(SegmentRole::Sent, bytes);
    let read = |bytes: &[u8]| call(libc::SYS_read, bytes.len() as i64, &[3, 0x2000, 100]).output(1, bytes);
    let content = |kernel: &Kernel| kernel.pipes().iter().next().unwrap().1.clone();
    kernel.takes(write(b"first"));
    kernel.takes(write(b"second"));
    kernel.takes(write(&[7; 5000]));
    let lengths = |kernel: &Kernel| content(kernel).stretches.iter().map(|stretch| stretch.bytes).collect::<Vec<_>>();
    assert_eq!(lengths(&kernel), [5, 6, 4096, 904]);
    kernel.takes(read(b"first"));
    kernel.takes(read(b"se"));
    assert_eq!((lengths(&kernel), content(&kernel).content.len()), (vec![4096, 904], 5000));
    kernel.takes(call(libc::SYS_fcntl, 0, &[4, i64::from(libc::F_SETFL), 0]));
    kernel.takes(write(b"stream"));
    kernel.takes(write(b"ing"));
    assert_eq!(lengths(&kernel), [4096, 904, 9]);
    kernel.takes(read(&[7; 100]));
    kernel.takes(read(&[7; 100]));
    kernel.takes(read(b"strea"));
    assert_eq!(content(&kernel).content, b"ming");
    kernel.check().unwrap();
}

#[test]
fn after_a_fork_a_pipe_may_bring_what_the_child_wrote() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_pipe, 0, &[0x2000]).output(0, &pair(3, 4)));
    kernel.takes(call(libc::SYS_fork, 101, &[]));
    kernel.takes(call(libc::SYS_close, 0, &[4]));
    kernel.takes(call(libc::SYS_read, 4, &[3, 0x2000, 9]).output(1, b"done"));
}

#[test]
fn after_a_fork_a_pipe_keeps_what_is_surely_the_servers() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_pipe, 0, &[0x2000]).output(0, &pair(3, 4)));
    kernel.takes(call(libc::SYS_fork, 101, &[]));
    let content = |kernel: &Kernel| kernel.pipes().iter().map(|(_, pipe)| pipe.content.len()).sum::<usize>();
    let write = |len: usize| call(libc::SYS_write, len as i64, &[4, 0, len as i64]);
    kernel.takes(write(3).with(SegmentRole::Sent, b"abc"));
    kernel.takes(call(libc::SYS_read, 1, &[3, 0x2000, 1]).output(1, b"a"));
    assert_eq!(content(&kernel), 2);
    kernel.takes(call(libc::SYS_read, 1, &[3, 0x2000, 1]).output(1, b"x"));
    assert_eq!(content(&kernel), 0, "somebody else has used the pipe");
    let full = vec![1; 60 << 10];
    kernel.takes(write(full.len()).with(SegmentRole::Sent, &full));
    kernel.takes(write(full.len()).with(SegmentRole::Sent, &full));
    assert_eq!(content(&kernel), 64 << 10, "no pipe holds more");
}

#[test]
fn a_socket_pair_queues_in_both_directions() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socketpair, 0, &[1, 1, 0, 0x2000]).output(3, &pair(3, 4)));
    kernel.takes(call(libc::SYS_write, 3, &[3, 0, 3]).with(SegmentRole::Sent, b"abc"));
    kernel.takes(call(libc::SYS_write, 2, &[4, 0, 2]).with(SegmentRole::Sent, b"xy"));
    kernel.takes(call(libc::SYS_read, 1, &[4, 0, 1]));
    let queue = |kernel: &Kernel, fd| match kernel.object(fd) {
        Some(Object::Pair(end)) => end.queue.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(queue(&kernel, 3), Queue::Stream(b"xy".to_vec().into()));
    assert_eq!(queue(&kernel, 4), Queue::Stream(b"bc".to_vec().into()));
    kernel.takes(call(libc::SYS_close, 0, &[3]));
    kernel.takes(call(libc::SYS_read, 2, &[4, 0, 9]));
    kernel.takes(call(libc::SYS_read, 0, &[4, 0, 9]));
}

#[test]
fn a_pair_of_datagrams_keeps_their_borders() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socketpair, 0, &[1, 2, 0, 0x2000]).output(3, &pair(3, 4)));
    let mut headers = vec![0; 128];
    headers[56] = 3;
    headers[120] = 1;
    let send = call(libc::SYS_sendmmsg, 2, &[3, 0x9000, 2, 0]).output_at(1, 0x9000, &headers);
    kernel.takes(send.with(SegmentRole::Sent, b"abcd"));
    kernel.takes(call(libc::SYS_read, 1, &[4, 0, 1]));
    let expected = Queue::Messages([b"d".to_vec()].into());
    assert!(matches!(kernel.object(4), Some(Object::Pair(end)) if end.queue == expected));
}

#[test]
fn an_eventfd_counts() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_eventfd2, 3, &[2, i64::from(libc::EFD_SEMAPHORE)]));
    kernel.takes(call(libc::SYS_write, 8, &[3, 0, 8]).with(SegmentRole::Sent, &words(&[5])));
    kernel.takes(call(libc::SYS_read, 8, &[3, 0, 8]));
    assert!(matches!(kernel.object(3), Some(Object::EventFd(e)) if e.count == 6));
    kernel.takes(call(libc::SYS_eventfd, 4, &[2]));
    kernel.takes(call(libc::SYS_read, 8, &[4, 0, 8]));
    assert!(matches!(kernel.object(4), Some(Object::EventFd(e)) if e.count == 0));
}

#[test]
fn a_timerfd_keeps_its_setting_until_it_has_told() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_timerfd_create, 3, &[1, i64::from(libc::TFD_NONBLOCK)]));
    let set = |interval, value| {
        let spec = words(&[0, interval, 0, value]);
        call(libc::SYS_timerfd_settime, 0, &[3, 0, 0x1000, 0]).input(2, &spec).clock(1000 * MS)
    };
    let setting = |kernel: &Kernel| match kernel.object(3) {
        Some(Object::TimerFd(timer)) => timer.setting,
        other => panic!("{other:?}"),
    };
    let read = |times: u64| call(libc::SYS_read, 8, &[3, 0, 8]).output(1, &words(&[times]));
    kernel.takes(set(0, 50 * MS));
    assert_eq!(kernel.monotonic_ns(), 1000 * MS);
    assert_eq!(setting(&kernel).unwrap().left_ns(1020 * MS), 30 * MS);
    kernel.takes(read(1));
    assert_eq!(setting(&kernel), None);
    kernel.takes(set(10 * MS, 50 * MS));
    kernel.takes(read(4));
    assert_eq!(setting(&kernel).unwrap().left_ns(1085 * MS), 5 * MS);
    kernel.takes(set(10 * MS, 0));
    assert_eq!(setting(&kernel), None);
}

#[test]
fn inotify_watches_end_with_their_last_event() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_inotify_init1, 3, &[0]));
    let add = |wd, mask: u32, path: &[u8]| {
        call(libc::SYS_inotify_add_watch, wd, &[3, 0x1000, i64::from(mask)])
            .input(1, b"x")
            .with(SegmentRole::Path, path)
    };
    kernel.takes(add(1, libc::IN_CREATE, b"/srv/a"));
    kernel.takes(add(1, libc::IN_DELETE | libc::IN_MASK_ADD, b"/srv/a"));
    kernel.takes(add(2, libc::IN_CREATE | libc::IN_ONESHOT, b"/srv/b"));
    kernel.takes(add(3, libc::IN_CREATE, b"/srv/c"));
    let wds = |kernel: &Kernel| match kernel.object(3) {
        Some(Object::Inotify(inotify)) => inotify.watches.iter().map(|(&wd, w)| (wd, w.mask)).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let both = libc::IN_CREATE | libc::IN_DELETE | libc::IN_MASK_ADD;
    assert_eq!(wds(&kernel)[0], (1, both));
    let seen = |wd: u32, mask: u32, name: u64| words(&[u64::from(wd) | u64::from(mask) << 32, name << 32]);
    let events = [seen(1, libc::IN_CREATE, 8), words(&[0]), seen(2, libc::IN_CREATE, 0), seen(3, libc::IN_IGNORED, 0)];
    kernel.takes(call(libc::SYS_read, 56, &[3, 0, 4096]).output(1, &events.concat()));
    assert_eq!(wds(&kernel), [(1, both)]);
    kernel.takes(call(libc::SYS_inotify_rm_watch, 0, &[3, 1]));
    assert_eq!(wds(&kernel), []);
}

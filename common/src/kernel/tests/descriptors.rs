use super::*;
use crate::kernel::Object;

fn object_is(kernel: &Kernel, fd: i32, kind: &str) {
    assert_eq!(kernel.object(fd).map(Object::kind), Some(kind), "descriptor {fd}");
}

#[test]
fn what_was_inherited_shares_as_it_did() {
    let mut kernel = fresh();
    kernel.check().unwrap();
    assert_eq!(kernel.descriptors().entry(1).unwrap().description, kernel.descriptors().entry(2).unwrap().description);
    kernel.takes(call(libc::SYS_close, 0, &[1]));
    object_is(&kernel, 2, "an inherited descriptor");
}

#[test]
fn duplicates_share_status_flags_but_not_cloexec() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_eventfd2, 3, &[7, i64::from(libc::EFD_CLOEXEC)]));
    kernel.takes(call(libc::SYS_fcntl, 9, &[3, i64::from(libc::F_DUPFD), 9]));
    kernel.takes(call(libc::SYS_fcntl, 4, &[3, i64::from(libc::F_DUPFD_CLOEXEC), 0]));
    kernel.takes(call(libc::SYS_dup2, 0, &[3, 0]));
    kernel.takes(call(libc::SYS_dup3, 12, &[3, 12, i64::from(libc::O_CLOEXEC)]));
    kernel.takes(call(libc::SYS_dup2, 3, &[3, 3]));
    let cloexec = |fd| kernel.descriptors().entry(fd).unwrap().cloexec;
    assert_eq!([3, 9, 4, 0, 12].map(cloexec), [true, false, true, false, true]);
    kernel.takes(call(libc::SYS_fcntl, 0, &[9, i64::from(libc::F_SETFL), i64::from(libc::O_NONBLOCK)]));
    kernel.takes(call(libc::SYS_close, 0, &[3]));
    assert_eq!(kernel.descriptors().get(12).unwrap().flags, libc::O_RDWR | libc::O_NONBLOCK);
}

#[test]
fn ioctls_and_fcntls_change_flags() {
    let mut kernel = fresh();
    let ioctl = |request: u64| call(libc::SYS_ioctl, 0, &[0, request as i64, 0x1000]);
    kernel.takes(ioctl(libc::FIONBIO).input(2, &1i32.to_le_bytes()));
    assert_eq!(kernel.descriptors().get(0).unwrap().flags & libc::O_NONBLOCK, libc::O_NONBLOCK);
    kernel.takes(ioctl(libc::FIONBIO).input(2, &0i32.to_le_bytes()));
    assert_eq!(kernel.descriptors().get(0).unwrap().flags & libc::O_NONBLOCK, 0);
    kernel.takes(ioctl(libc::FIOCLEX));
    assert!(kernel.descriptors().entry(0).unwrap().cloexec);
    kernel.takes(call(libc::SYS_fcntl, 0, &[0, i64::from(libc::F_SETFD), 0]));
    assert!(!kernel.descriptors().entry(0).unwrap().cloexec);
    assert!(matches!(kernel.refuses(ioctl(0x5441)), ModelError::Unsupported { .. }));
    assert!(matches!(kernel.refuses(ioctl(libc::FIONBIO)), ModelError::Incomplete { .. }));
}

#[test]
fn ranges_are_closed_or_marked() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_close_range, 0, &[1, 0xffff_ffff, 4]));
    assert_eq!(kernel.descriptors().numbers().filter(|(_, d)| d.cloexec).count(), 2);
    kernel.takes(exec("server"));
    assert_eq!(kernel.descriptors().numbers().count(), 1);
    kernel.takes(call(libc::SYS_close_range, 0, &[0, 5, 0]));
    assert_eq!(kernel.descriptors().descriptions().count(), 0);
}

#[test]
fn a_close_that_was_interrupted_has_closed() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_close, -4, &[0]));
    assert!(kernel.object(0).is_none());
    kernel.takes(call(libc::SYS_close, -9, &[0]));
}

#[test]
fn records_that_contradict_the_table_are_refused() {
    let mut kernel = fresh();
    let text = kernel.refuses(call(libc::SYS_close, 0, &[77])).to_string();
    assert_eq!(
        text,
        "close: expected an open descriptor, found descriptor 77, which is not open: \
         log and kernel-state model have come apart, stop this replica"
    );
    for record in [
        call(libc::SYS_dup, 1, &[0]),
        call(libc::SYS_eventfd2, 0, &[0, 0]),
        call(libc::SYS_read, 1, &[50, 0, 0]),
        call(libc::SYS_epoll_wait, 0, &[0, 0, 0]),
        call(libc::SYS_timerfd_settime, 0, &[0, 0, 0]).input(2, &[0; 32]).clock(1),
        call(libc::SYS_epoll_create1, 1 << 40, &[0]),
    ] {
        assert!(matches!(kernel.refuses(record), ModelError::Inconsistent { .. }));
    }
}

#[test]
fn what_cannot_be_carried_is_refused_by_name() {
    let mut kernel = fresh();
    let refused = kernel.refuses(call(libc::SYS_memfd_create, 3, &[]));
    assert!(refused.to_string().starts_with("memfd_create makes a descriptor, which"), "{refused}");
    for record in [
        call(libc::SYS_socket, 3, &[40, 1, 0]),
        call(libc::SYS_pidfd_open, 3, &[]),
        call(libc::SYS_clone, 200, &[i64::from(libc::CLONE_PIDFD)]),
        call(libc::SYS_splice, 10, &[0, 0, 1, 0, 10, 0]),
    ] {
        assert!(matches!(kernel.refuses(record), ModelError::Unsupported { .. }));
    }
    kernel.takes(call(libc::SYS_memfd_create, -38, &[]));
}

#[test]
fn descriptors_in_a_message_are_refused() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socketpair, 0, &[1, 1, 0, 0x2000]).output(3, &pair(3, 4)));
    kernel.takes(call(libc::SYS_sendmsg, 1, &[3, 0, 0]).with(SegmentRole::Sent, b"x"));
    let header = words(&[0, 0, 0, 0, 0x5000, 24, 0]);
    let control = |level: i32, kind: i32| {
        [&20u64.to_le_bytes()[..], &level.to_le_bytes(), &kind.to_le_bytes(), &[9, 0, 0, 0, 0, 0, 0, 0]].concat()
    };
    let received = |control: &[u8]| {
        call(libc::SYS_recvmsg, 1, &[4, 0x9000, 0]).output_at(1, 0x9000, &header).output_at(1, 0x5000, control)
    };
    let refused = kernel.refuses(received(&control(libc::SOL_SOCKET, libc::SCM_RIGHTS)));
    assert!(matches!(refused, ModelError::Unsupported { .. }), "{refused}");
    kernel.takes(received(&control(libc::SOL_SOCKET, libc::SCM_CREDENTIALS)));
}

#[test]
fn an_unknown_call_has_no_effect() {
    let mut kernel = fresh();
    let before = kernel.clone();
    kernel.takes(call(4000, 17, &[1, 2, 3]));
    kernel.takes(call(libc::SYS_getpid, 100, &[]));
    assert_eq!(kernel, before);
}

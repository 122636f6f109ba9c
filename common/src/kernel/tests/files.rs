use super::*;
use crate::kernel::{Object, Offset, RangeLock, UnixState};

fn open(fd: i64, path: &str, flags: i32) -> Made {
    call(libc::SYS_openat, fd, &[-100, 0x1000, i64::from(flags), 0o600]).input(1, path.as_bytes())
}

fn file(kernel: &Kernel, fd: i32) -> &crate::kernel::File {
    match kernel.object(fd) {
        Some(Object::File(file) | Object::Directory(file)) => file,
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_that_double_from_record_to_record_are_refused_before_they_fill_the_memory() {
    let mut kernel = fresh();
    kernel.takes(open(3, "/a/b", libc::O_RDONLY));
    let into_itself = call(libc::SYS_renameat, 0, &[-100, 0x1000, 3, 0x1000]).input(1, b"/a").input(3, b"c");
    for _ in 0..64 {
        let before = kernel.clone();
        if let Err(error) = kernel.apply(&into_itself.0) {
            assert!(error.to_string().contains("a path of at most 65536 bytes"), "{error}");
            assert!(file(&before, 3).path.0.len() > 1 << 15);
            return;
        }
    }
    panic!("64 renames of a directory into itself are taken");
}

#[test]
fn offsets_follow_reads_writes_and_seeks() {
    let mut kernel = fresh();
    kernel.takes(open(3, "data/x", libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC).with(SegmentRole::Path, b"/real/x"));
    assert_eq!(file(&kernel, 3).path, "/real/x".into());
    assert_eq!(kernel.descriptors().get(3).unwrap().flags, libc::O_RDWR);
    assert!(kernel.descriptors().entry(3).unwrap().cloexec);
    kernel.takes(call(libc::SYS_write, 10, &[3, 0, 10]));
    kernel.takes(call(libc::SYS_pread64, 10, &[3, 0, 10, 0]));
    kernel.takes(call(libc::SYS_pwrite64, 10, &[3, 0, 10, 50]));
    assert_eq!(file(&kernel, 3).offset, Offset::At(10));
    kernel.takes(call(libc::SYS_lseek, 4, &[3, 4, 0]));
    kernel.takes(call(libc::SYS_readv, 3, &[3, 0, 1]));
    assert_eq!(file(&kernel, 3).offset, Offset::At(7));
    kernel.takes(call(libc::SYS_sendfile, 5, &[1, 3, 0, 5]));
    kernel.takes(call(libc::SYS_sendfile, 5, &[1, 3, 0x1000, 5]));
    assert_eq!(file(&kernel, 3).offset, Offset::At(12));
    kernel.takes(call(libc::SYS_fcntl, 0, &[3, i64::from(libc::F_SETFL), i64::from(libc::O_APPEND)]));
    kernel.takes(call(libc::SYS_write, 10, &[3, 0, 10]));
    assert_eq!(file(&kernel, 3).offset, Offset::End);
    kernel.takes(call(libc::SYS_lseek, 40, &[3, 0, 1]));
    assert_eq!(file(&kernel, 3).offset, Offset::At(40));
}

#[test]
fn a_directory_shows_itself_and_keeps_its_cookie() {
    let mut kernel = fresh();
    kernel.takes(open(3, "/srv/d", 0));
    let entry = |cookie: u64| [&words(&[9, cookie])[..], &24u16.to_le_bytes(), &[4, b'a', 0, 0, 0, 0]].concat();
    kernel.takes(call(libc::SYS_getdents64, 48, &[3, 0x2000, 4096]).output(1, &[entry(11), entry(22)].concat()));
    assert!(matches!(kernel.object(3), Some(Object::Directory(_))));
    assert_eq!(file(&kernel, 3).offset, Offset::At(22));
    kernel.takes(call(libc::SYS_getdents64, 0, &[3, 0x2000, 4096]));
    assert_eq!(file(&kernel, 3).offset, Offset::At(22));
    let inside = call(libc::SYS_openat, 4, &[3, 0x1000, 0, 0]).input(1, b"e/f");
    kernel.takes(inside);
    assert_eq!(file(&kernel, 4).path, "/srv/d/e/f".into());
}

#[test]
fn devices_are_known_by_where_they_stand() {
    let mut kernel = fresh();
    kernel.takes(open(3, "/dev/urandom", 0));
    kernel.takes(open(4, "/dev/shm/x", 0));
    kernel.takes(open(5, "/developer", 0));
    assert!(matches!(kernel.object(3), Some(Object::Device { .. })));
    assert!(matches!(kernel.object(4), Some(Object::File(_))));
    assert!(matches!(kernel.object(5), Some(Object::File(_))));
}

#[test]
fn renames_and_removals_are_followed() {
    let mut kernel = fresh();
    kernel.takes(open(3, "log.tmp", 2));
    kernel.takes(open(4, "log", 2));
    kernel.takes(call(libc::SYS_rename, 0, &[0x1000, 0x1000]).input(0, b"./log.tmp").input(1, b"/srv/log"));
    assert_eq!((file(&kernel, 3).path.clone(), file(&kernel, 3).unlinked), ("/srv/log".into(), false));
    assert!(file(&kernel, 4).unlinked, "overwritten");
    kernel.takes(call(libc::SYS_unlink, 0, &[0x1000]).input(0, b"log"));
    assert!(file(&kernel, 3).unlinked);
    kernel.takes(open(5, "log", 2));
    assert!(!file(&kernel, 5).unlinked, "a new file of the old name");
}

#[test]
fn locks_are_split_and_end_with_any_close() {
    let lock = |kind: i32, start: u64, len: u64| {
        let flock = words(&[kind as u64, start, len, 0]);
        call(libc::SYS_fcntl, 0, &[3, i64::from(libc::F_SETLK), 0x1000]).input(2, &flock)
    };
    let mut kernel = fresh();
    kernel.takes(open(3, "x", 2));
    kernel.takes(open(4, "x", 2));
    kernel.takes(lock(libc::F_WRLCK, 0, 100));
    kernel.takes(lock(libc::F_UNLCK, 40, 20));
    let held = |kernel: &Kernel| kernel.descriptors().get(3).unwrap().locks.ranges.clone();
    let range = |start, end| RangeLock { start, end, exclusive: true, description: false };
    assert_eq!(held(&kernel), [range(0, 40), range(60, 100)]);
    kernel.takes(lock(libc::F_UNLCK, 50, 0));
    assert_eq!(held(&kernel), [range(0, 40)]);
    kernel.takes(call(libc::SYS_flock, 0, &[3, i64::from(libc::LOCK_EX | libc::LOCK_NB)]));
    kernel.takes(call(libc::SYS_close, 0, &[4]));
    assert_eq!(held(&kernel), []);
    assert_eq!(kernel.descriptors().get(3).unwrap().locks.whole, Some(true));
}

#[test]
fn unix_and_udp_sockets_keep_what_they_were_bound_to() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socket, 3, &[1, 1, 0]));
    kernel.takes(call(libc::SYS_bind, 0, &[3, 0x1000, 9]).input(1, b"\x01\0run.sock"));
    kernel.takes(call(libc::SYS_listen, 0, &[3, 5]));
    kernel.takes(call(libc::SYS_accept, 4, &[3, 0, 0]));
    let Some(Object::Unix(socket)) = kernel.object(3) else { panic!("{:?}", kernel.object(3)) };
    assert_eq!(
        (socket.path.clone(), &socket.state),
        (Some("/srv/run.sock".into()), &UnixState::Listening { backlog: 5 })
    );
    assert!(matches!(kernel.object(4), Some(Object::Unix(s)) if s.state == UnixState::Accepted && s.path.is_none()));
    assert_eq!(kernel.conn_of_fd(4), None);

    kernel.takes(call(libc::SYS_socket, 5, &[2, 2, 0]));
    let bind = call(libc::SYS_bind, 0, &[5, 0x1000, 16]).input(1, &sockaddr("0.0.0.0:0"));
    kernel.takes(bind.with(SegmentRole::Local, &sockaddr("0.0.0.0:5353")));
    kernel.takes(call(libc::SYS_connect, 0, &[5, 0x1000, 16]).input(1, &sockaddr("10.0.0.1:53")));
    let Some(Object::Udp(socket)) = kernel.object(5) else { panic!("{:?}", kernel.object(5)) };
    assert_eq!(socket.bound, Some("0.0.0.0:5353".parse().unwrap()));
    assert_eq!(socket.connected, Some("10.0.0.1:53".parse().unwrap()));
    assert_eq!(kernel.listeners().count(), 0);
}

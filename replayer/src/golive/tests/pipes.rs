use super::*;

fn written(model: &mut Model, fd: i64, bytes: &[u8]) {
    let len = bytes.len() as i64;
    model.call(libc::SYS_write, len, &[fd, 0, len], &[(SegmentRole::Sent, 0, bytes)]);
}

#[test]
fn a_pipe_has_its_content_and_its_end() {
    let mut model = Model::new();
    let flags = i64::from(libc::O_NONBLOCK);
    model.call(libc::SYS_pipe2, 0, &[0x1000, flags], &[(SegmentRole::Out, 0, &pair(3, 4))]);
    model.plain(libc::SYS_fcntl, 1 << 17, &[4, libc::F_SETPIPE_SZ.into(), 1 << 17]);
    let content = vec![b'z'; 100_000];
    written(&mut model, 4, &content);
    model.call(libc::SYS_pipe2, 0, &[0x1000, 0], &[(SegmentRole::Out, 0, &pair(5, 6))]);
    written(&mut model, 6, b"last words");
    model.plain(libc::SYS_close, 0, &[6]);
    model.call(libc::SYS_pipe2, 0, &[0x1000, 0], &[(SegmentRole::Out, 0, &pair(6, 7))]);
    model.plain(libc::SYS_close, 0, &[6]);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    let first = table.read(3).unwrap();
    let second = table.read(3).unwrap();
    assert_eq!(first.len() + second.len(), content.len());
    assert_eq!(table.read(3).unwrap_err().raw_os_error(), Some(libc::EAGAIN), "the writer lives");
    assert_eq!(table.flags(4) & libc::O_NONBLOCK, libc::O_NONBLOCK);
    assert_eq!(table.flags(7) & libc::O_NONBLOCK, 0);
    assert_eq!(table.read(5).unwrap(), b"last words");
    assert_eq!(table.read(5).unwrap(), b"", "no writer is left");
    let error = std::io::Write::write(&mut table.file(7), b"x").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE), "no reader is left");
}

#[test]
fn a_socket_pair_has_what_waited_in_both_directions() {
    let mut model = Model::new();
    model.call(libc::SYS_socketpair, 0, &[1, 1, 0, 0x1000], &[(SegmentRole::Out, 3, &pair(3, 4))]);
    written(&mut model, 3, b"to four");
    written(&mut model, 4, b"to three");
    model.plain(libc::SYS_shutdown, 0, &[3, libc::SHUT_WR.into()]);
    model.call(libc::SYS_socketpair, 0, &[1, 1, 0, 0x1000], &[(SegmentRole::Out, 3, &pair(5, 6))]);
    written(&mut model, 6, b"bye");
    model.plain(libc::SYS_close, 0, &[6]);
    model.call(libc::SYS_socketpair, 0, &[1, 1, 0, 0x1000], &[(SegmentRole::Out, 3, &pair(7, 8))]);
    model.plain(libc::SYS_shutdown, 0, &[8, libc::SHUT_WR.into()]);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.read(4).unwrap(), b"to four");
    assert_eq!(table.read(4).unwrap(), b"", "shut down");
    assert_eq!(table.read(3).unwrap(), b"to three");
    assert_eq!(table.read(3).unwrap_err().raw_os_error(), Some(libc::EAGAIN));
    std::io::Write::write_all(&mut table.file(4), b"more").unwrap();
    assert_eq!(table.read(3).unwrap(), b"more", "they are connected");
    assert_eq!(table.read(5).unwrap(), b"bye");
    assert_eq!(table.read(5).unwrap(), b"");
    assert_eq!(table.read(7).unwrap(), b"", "the second end was shut down");
}

#[test]
fn a_pair_of_datagrams_keeps_their_borders() {
    let mut model = Model::new();
    model.call(libc::SYS_socketpair, 0, &[1, 2, 0, 0x1000], &[(SegmentRole::Out, 3, &pair(3, 4))]);
    written(&mut model, 3, b"one");
    written(&mut model, 3, b"three");
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.read(4).unwrap(), b"one");
    assert_eq!(table.read(4).unwrap(), b"three");
    assert_eq!(table.read(4).unwrap_err().raw_os_error(), Some(libc::EAGAIN));
}

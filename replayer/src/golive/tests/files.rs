use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::*;

fn open(model: &mut Model, fd: i64, path: &Path, flags: i32) {
    let path = path.to_str().unwrap().as_bytes();
    let args = [-100, 0x1000, flags.into(), 0o600];
    model.call(libc::SYS_openat, fd, &args, &[(SegmentRole::In, 1, path), (SegmentRole::Path, 0, path)]);
}

#[test]
fn files_come_back_at_their_offsets_and_shared_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    std::fs::write(&path, "0123456789").unwrap();
    let mut model = Model::new();
    open(&mut model, 3, &path, libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC);
    model.plain(libc::SYS_write, 4, &[3, 0, 4]).plain(libc::SYS_dup, 7, &[3]);
    open(&mut model, 4, &path, libc::O_WRONLY | libc::O_APPEND);
    model.plain(libc::SYS_write, 4, &[4, 0, 4]);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(report.placed, 6);
    assert_eq!((table.open[&3].1, table.open[&7].1), (true, false));
    let mut rest = String::new();
    table.file(7).read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "456789", "not truncated, at offset 4");
    assert_eq!(table.file(3).stream_position().unwrap(), 10, "one offset for both numbers");
    assert_eq!(table.flags(3) & (libc::O_ACCMODE | libc::O_NONBLOCK), libc::O_RDWR);
    assert_eq!(table.flags(4) & libc::O_APPEND, libc::O_APPEND);
    assert_eq!(table.file(4).stream_position().unwrap(), 10, "at the end");
    table.file(4).write_all(b"x").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"0123456789x");
}

#[test]
fn directories_and_devices_are_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::new();
    open(&mut model, 3, dir.path(), libc::O_DIRECTORY | libc::O_NONBLOCK);
    open(&mut model, 4, Path::new("/dev/null"), libc::O_RDWR);
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    assert_eq!(table.file(3).metadata().unwrap().ino(), dir.path().metadata().unwrap().ino());
    assert_eq!(table.flags(3) & libc::O_NONBLOCK, libc::O_NONBLOCK);
    assert_eq!(table.file(4).metadata().unwrap().rdev(), Path::new("/dev/null").metadata().unwrap().rdev());
}

#[test]
fn what_is_lost_fails_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (absent, removed) = (dir.path().join("absent"), dir.path().join("removed"));
    std::fs::write(&removed, "somebody else's").unwrap();
    let mut model = Model::new();
    open(&mut model, 3, &absent, libc::O_RDWR);
    open(&mut model, 4, &removed, libc::O_RDWR);
    model.input(libc::SYS_unlink, 0, &[0x1000], 0, removed.to_str().unwrap().as_bytes());
    let (table, report) = model.revive();
    assert_eq!(report.losses.iter().map(|loss| loss.numbers.clone()).collect::<Vec<_>>(), [[3], [4]]);
    for number in [3, 4] {
        let error = table.file(number).read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }
}

#[test]
fn standard_descriptors_are_those_of_ftrun() {
    let mut model = Model::new();
    model.plain(libc::SYS_close, 0, &[0]);
    let mut sockets = model.prepare();
    let mut table = Table::new();
    let other = std::fs::File::open("/dev/null").unwrap();
    table.open.insert(0, (other.into(), false));
    let report = revive(&model.kernel, &mut table, &mut sockets, clock(SECOND)).unwrap();
    assert_eq!(report.losses, []);
    assert!(!table.open.contains_key(&0), "the server had closed it");
    let own = std::fs::File::from(std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned().unwrap());
    let (own, placed) = (own.metadata().unwrap(), table.file(1).metadata().unwrap());
    assert_eq!((own.dev(), own.ino()), (placed.dev(), placed.ino()));
    assert_eq!(table.only(libc::SYS_dup3).args[..2], [1, 2], "2 shares the description of 1");
}

#[test]
fn locks_are_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pid");
    std::fs::write(&path, "").unwrap();
    let mut model = Model::new();
    open(&mut model, 3, &path, libc::O_RDWR);
    let flock = words(&[libc::F_WRLCK as u64, 8, 16, 0]);
    model.plain(libc::SYS_flock, 0, &[3, libc::LOCK_EX.into()]).input(
        libc::SYS_fcntl,
        0,
        &[3, libc::F_SETLK.into(), 0x1000],
        2,
        &flock,
    );
    let (table, report) = model.revive();
    assert_eq!(report.losses, []);
    let other = std::fs::File::open(&path).unwrap();
    assert!(matches!(other.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)), "held by the server");
    let ran = table.only(libc::SYS_fcntl);
    assert_eq!((ran.args[0], ran.args[1], &ran.scratch), (3, libc::F_SETLK as u64, &flock));

    let (_, report) = model.revive();
    assert_eq!(report.losses.len(), 1, "the first one still holds it");
}

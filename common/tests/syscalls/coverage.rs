//! What strict single-threaded servers call is known, by the right number, and not refused.
#![expect(
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "libc writes its constants in many types; all are small and positive here"
)]

use common::syscall::{names, operations, resolve};

macro_rules! calls {
    ($($call:ident)*) => { &[$((stringify!($call), libc::$call)),*] };
}

/// All calls that were seen in a survey of such servers, and those that stand beside them. Each server's first call, execve,
/// is not among them: it starts the server.
const CALLS: &[(&str, i64)] = calls! {
    SYS_access SYS_arch_prctl SYS_brk SYS_close SYS_mmap SYS_mprotect SYS_munmap SYS_newfstatat SYS_openat SYS_pread64
    SYS_prlimit64 SYS_read SYS_rseq SYS_set_robust_list SYS_set_tid_address SYS_socket SYS_bind SYS_getrandom
    SYS_rt_sigaction SYS_listen SYS_setsockopt SYS_fcntl SYS_lseek SYS_write SYS_futex SYS_getpid SYS_exit_group
    SYS_geteuid SYS_getuid SYS_getsockname SYS_ioctl SYS_recvfrom SYS_sendto SYS_rt_sigreturn SYS_accept SYS_epoll_ctl
    SYS_getgid SYS_epoll_wait SYS_getdents64 SYS_getegid SYS_unlink SYS_connect SYS_sysinfo SYS_uname SYS_accept4
    SYS_epoll_create1 SYS_prctl SYS_shutdown SYS_readlink SYS_gettid SYS_pselect6 SYS_epoll_create SYS_rt_sigprocmask
    SYS_getcwd SYS_poll SYS_rename SYS_socketpair SYS_umask SYS_writev SYS_fsync SYS_getpeername SYS_pipe2 SYS_recvmsg
    SYS_chdir SYS_getsockopt SYS_mkdir SYS_pwrite64 SYS_dup2 SYS_fdatasync SYS_getppid SYS_setgid SYS_setgroups
    SYS_fchown SYS_fstatfs SYS_sendfile SYS_sendmsg SYS_setuid SYS_chmod SYS_chown SYS_ftruncate SYS_getrusage
    SYS_setitimer SYS_statfs SYS_capget SYS_chroot SYS_clock_gettime SYS_clock_nanosleep SYS_dup SYS_dup3 SYS_eventfd2
    SYS_fallocate SYS_fchmod SYS_fstat SYS_getgroups SYS_getpgrp SYS_getresgid SYS_getresuid SYS_inotify_add_watch
    SYS_inotify_init1 SYS_kill SYS_tgkill SYS_madvise SYS_mlock SYS_mremap SYS_recvmmsg SYS_sendmmsg SYS_setresgid
    SYS_setresuid SYS_sigaltstack SYS_signalfd4 SYS_stat SYS_lstat SYS_sync_file_range SYS_wait4 SYS_ppoll
    SYS_epoll_pwait SYS_readv SYS_preadv SYS_pwritev SYS_statx SYS_flock SYS_link SYS_rmdir SYS_faccessat2 SYS_getpgid
    SYS_setsid SYS_sched_getaffinity SYS_sched_yield SYS_gettimeofday SYS_time SYS_nanosleep SYS_timerfd_create
    SYS_timerfd_settime SYS_timerfd_gettime SYS_timer_create SYS_timer_settime SYS_timer_gettime SYS_timer_getoverrun
    SYS_timer_delete SYS_alarm SYS_pause SYS_restart_syscall SYS_exit
};

/// Call, the argument that selects an operation, its value, its name.
const OPERATIONS: &[(i64, usize, i64, &str)] = &[
    (libc::SYS_fcntl, 1, libc::F_SETFL as i64, "fcntl(F_SETFL)"),
    (libc::SYS_fcntl, 1, libc::F_GETFL as i64, "fcntl(F_GETFL)"),
    (libc::SYS_fcntl, 1, libc::F_GETFD as i64, "fcntl(F_GETFD)"),
    (libc::SYS_fcntl, 1, libc::F_SETFD as i64, "fcntl(F_SETFD)"),
    (libc::SYS_fcntl, 1, libc::F_SETLK as i64, "fcntl(F_SETLK)"),
    (libc::SYS_fcntl, 1, libc::F_SETLKW as i64, "fcntl(F_SETLKW)"),
    (libc::SYS_fcntl, 1, libc::F_GETLK as i64, "fcntl(F_GETLK)"),
    (libc::SYS_fcntl, 1, libc::F_DUPFD_CLOEXEC as i64, "fcntl(F_DUPFD_CLOEXEC)"),
    (libc::SYS_ioctl, 1, libc::TCGETS as i64, "ioctl(TCGETS)"),
    (libc::SYS_ioctl, 1, libc::FIONBIO as i64, "ioctl(FIONBIO)"),
    (libc::SYS_ioctl, 1, libc::FIOCLEX as i64, "ioctl(FIOCLEX)"),
    (libc::SYS_ioctl, 1, libc::FIONREAD as i64, "ioctl(FIONREAD)"),
    (libc::SYS_ioctl, 1, libc::TIOCGWINSZ as i64, "ioctl(TIOCGWINSZ)"),
    (libc::SYS_prctl, 0, libc::PR_SET_NAME as i64, "prctl(PR_SET_NAME)"),
    (libc::SYS_prctl, 0, libc::PR_CAPBSET_READ as i64, "prctl(PR_CAPBSET_READ)"),
    (libc::SYS_prctl, 0, libc::PR_GET_SECUREBITS as i64, "prctl(PR_GET_SECUREBITS)"),
    (libc::SYS_prctl, 0, libc::PR_SET_DUMPABLE as i64, "prctl(PR_SET_DUMPABLE)"),
    (libc::SYS_prctl, 0, libc::PR_SET_VMA as i64, "prctl(PR_SET_VMA)"),
    (libc::SYS_prctl, 0, libc::PR_GET_NO_NEW_PRIVS as i64, "prctl(PR_GET_NO_NEW_PRIVS)"),
];

/// Arguments that ask for nothing special.
fn usual(number: i64) -> [u64; 6] {
    match number {
        libc::SYS_socket => [libc::AF_INET as u64, 0, 0, 0, 0, 0],
        libc::SYS_mmap => [0, 4096, 1, (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64, u64::MAX, 0],
        libc::SYS_setsockopt => [0, 1, libc::SO_KEEPALIVE as u64, 0, 0, 0],
        libc::SYS_mremap => [4096, 4096, 8192, 1, 0, 0],
        _ => [0; 6],
    }
}

#[test]
fn every_call_that_servers_make_is_known() {
    for &(name, number) in CALLS {
        let name = name.trim_start_matches("SYS_");
        let number = u64::try_from(number).unwrap();
        if let Some(operations) = operations::of(number) {
            assert_eq!(operations.name(), name, "call {number}");
            continue;
        }
        let shape = resolve(number, &usual(number as i64)).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(shape.name, name, "call {number}");
    }
}

#[test]
fn every_operation_that_servers_use_is_known() {
    for &(call, selector, value, name) in OPERATIONS {
        let mut args = [0; 6];
        args[selector] = value as u64;
        let shape = resolve(call as u64, &args).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(shape.name, name);
    }
}

#[test]
fn a_call_is_either_known_or_refused_by_name() {
    // That each number is in one place is checked where the table is compiled.
    for (number, name) in names::all() {
        let refusal = resolve(number.into(), &[0; 6]).expect_err(name);
        assert!(refusal.what.starts_with(name) && refusal.errno == libc::ENOSYS, "{refusal}");
    }
}

#[test]
fn a_refused_operation_is_named() {
    for (number, args, what, errno) in [
        (libc::SYS_fcntl, [0, libc::F_SETLEASE as u64, 0, 0, 0, 0], "fcntl(F_SETLEASE)", libc::EINVAL),
        (libc::SYS_fcntl, [0, 999, 0, 0, 0, 0], "fcntl with operation 0x3e7", libc::EINVAL),
        (libc::SYS_ioctl, [0, libc::TIOCGPTN, 0, 0, 0, 0], "ioctl(TIOCGPTN)", libc::ENOTTY),
        (libc::SYS_prctl, [libc::PR_SET_MM as u64, 0, 0, 0, 0, 0], "prctl(PR_SET_MM)", libc::EINVAL),
        (libc::SYS_madvise, [0, 0, libc::MADV_FREE as u64, 0, 0, 0], "madvise(MADV_FREE)", libc::EINVAL),
        (
            libc::SYS_setsockopt,
            [0, 1, libc::SO_ATTACH_FILTER as u64, 0, 0, 0],
            "setsockopt(SO_ATTACH_FILTER)",
            libc::ENOPROTOOPT,
        ),
        (
            libc::SYS_getsockopt,
            [0, 1, libc::SO_PEERPIDFD as u64, 0, 0, 0],
            "getsockopt(SO_PEERPIDFD)",
            libc::ENOPROTOOPT,
        ),
        (libc::SYS_getsockopt, [0, 6, 9999, 0, 0, 0], "getsockopt with option 9999 of level 6", libc::ENOPROTOOPT),
        // A level is not an option, and the upper halves of arguments do not count.
        (libc::SYS_setsockopt, [0, 9, 1, 0, 0, 0], "setsockopt with option 1 of level 9", libc::ENOPROTOOPT),
        (libc::SYS_fcntl, [0, 10 | 1 << 40, 0, 0, 0, 0], "fcntl(F_SETSIG)", libc::EINVAL),
    ] {
        let refusal = resolve(number as u64, &args).expect_err(what);
        assert_eq!((refusal.what.as_str(), refusal.errno), (what, errno));
    }
}

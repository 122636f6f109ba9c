//! Every call that has one shape, in the order of its number.
//!
//! Layouts: the manual pages of section 2 and the kernel's `include/uapi`; sizes are those of x86-64.

use super::shape::Class::{Answer, Emulate, Execute};
use super::shape::Direction::{Bulk, Digest, In, InOut, Out, OutAlways};
use super::shape::Length::{
    Arg, CString, FdSet, Fixed, Iovec, Mmsghdr, Msghdr, Pages, Result, SigsetPair, ValueResult,
};
use super::shape::{Shape, ptr, recomputing, shape};
use super::{names, nr, operations};

/// The shape of call `number`, if it has one.
#[must_use]
pub fn find(number: usize) -> Option<&'static Shape> {
    TABLE.binary_search_by_key(&number, |s| usize::from(s.number)).ok().map(|at| &TABLE[at])
}

/// All shapes of this table.
pub fn all() -> impl Iterator<Item = &'static Shape> {
    TABLE.iter()
}

const PATH0: &[super::Pointer] = &[ptr(0, In, CString)];
const PATH1: &[super::Pointer] = &[ptr(1, In, CString)];
const PATHS01: &[super::Pointer] = &[ptr(0, In, CString), ptr(1, In, CString)];
const PATHS13: &[super::Pointer] = &[ptr(1, In, CString), ptr(3, In, CString)];
const NAME: &[super::Pointer] = &[ptr(1, Out, ValueResult(2)), ptr(2, InOut, Fixed(4))];

#[rustfmt::skip]
static TABLE: &[Shape] = &[
    recomputing(shape(nr::READ, "read", 3, Emulate, &[ptr(1, Out, Result(1))]), &[1, 2]),
    recomputing(shape(nr::WRITE, "write", 3, Emulate, &[ptr(1, Bulk, Result(1))]), &[1, 2]),
    recomputing(shape(nr::OPEN, "open", 3, Emulate, PATH0), &[0]),
    shape(nr::CLOSE, "close", 1, Emulate, &[]),
    shape(nr::STAT, "stat", 2, Emulate, &[ptr(0, In, CString), ptr(1, Out, Fixed(144))]),
    recomputing(shape(nr::FSTAT, "fstat", 2, Emulate, &[ptr(1, Out, Fixed(144))]), &[1]),
    shape(nr::LSTAT, "lstat", 2, Emulate, &[ptr(0, In, CString), ptr(1, Out, Fixed(144))]),
    recomputing(shape(nr::POLL, "poll", 3, Emulate, &[ptr(0, InOut, Arg(1, 8))]), &[0, 1, 2]),
    recomputing(shape(nr::LSEEK, "lseek", 3, Emulate, &[]), &[1]),
    shape(nr::MMAP, "mmap", 6, Execute, &[]),
    shape(nr::MPROTECT, "mprotect", 3, Execute, &[]),
    shape(nr::MUNMAP, "munmap", 2, Execute, &[]),
    shape(nr::BRK, "brk", 1, Execute, &[]),
    shape(nr::RT_SIGACTION, "rt_sigaction", 4, Execute, &[ptr(1, In, Fixed(32)), ptr(2, Out, Fixed(32))]),
    recomputing(shape(nr::RT_SIGPROCMASK, "rt_sigprocmask", 4, Execute, &[ptr(1, In, Arg(3, 1)), ptr(2, Out, Arg(3, 1))]), &[1, 2, 3]),
    shape(nr::RT_SIGRETURN, "rt_sigreturn", 0, Execute, &[]),
    recomputing(shape(nr::PREAD64, "pread64", 4, Emulate, &[ptr(1, Out, Result(1))]), &[1, 2]),
    recomputing(shape(nr::PWRITE64, "pwrite64", 4, Emulate, &[ptr(1, Bulk, Result(1))]), &[1, 2]),
    recomputing(shape(nr::READV, "readv", 3, Emulate, &[ptr(1, Out, Iovec(2))]), &[1, 2]),
    recomputing(shape(nr::WRITEV, "writev", 3, Emulate, &[ptr(1, Bulk, Iovec(2))]), &[1, 2]),
    shape(nr::ACCESS, "access", 2, Emulate, PATH0),
    shape(nr::PIPE, "pipe", 1, Emulate, &[ptr(0, Out, Fixed(8))]),
    recomputing(shape(nr::SELECT, "select", 5, Emulate, &[ptr(1, InOut, FdSet), ptr(2, InOut, FdSet), ptr(3, InOut, FdSet), ptr(4, InOut, Fixed(16))]), &[0, 1, 2, 3, 4]),
    shape(nr::SCHED_YIELD, "sched_yield", 0, Emulate, &[]),
    shape(nr::MREMAP, "mremap", 5, Execute, &[]),
    shape(nr::MSYNC, "msync", 3, Emulate, &[]),
    shape(nr::MINCORE, "mincore", 3, Emulate, &[ptr(2, Out, Pages(1))]),
    shape(nr::DUP, "dup", 1, Emulate, &[]),
    shape(nr::DUP2, "dup2", 2, Emulate, &[]),
    shape(nr::PAUSE, "pause", 0, Emulate, &[]),
    recomputing(shape(nr::NANOSLEEP, "nanosleep", 2, Emulate, &[ptr(0, In, Fixed(16)), ptr(1, OutAlways, Fixed(16))]), &[0, 1]),
    shape(nr::GETITIMER, "getitimer", 2, Emulate, &[ptr(1, Out, Fixed(32))]),
    shape(nr::ALARM, "alarm", 1, Emulate, &[]),
    shape(nr::SETITIMER, "setitimer", 3, Emulate, &[ptr(1, In, Fixed(32)), ptr(2, Out, Fixed(32))]),
    shape(nr::GETPID, "getpid", 0, Answer(0), &[]),
    shape(nr::SENDFILE, "sendfile", 4, Emulate, &[ptr(2, InOut, Fixed(8))]),
    shape(nr::SOCKET, "socket", 3, Emulate, &[]),
    shape(nr::CONNECT, "connect", 3, Emulate, &[ptr(1, In, Arg(2, 1))]),
    recomputing(shape(nr::ACCEPT, "accept", 3, Emulate, NAME), &[1, 2]),
    recomputing(shape(nr::SENDTO, "sendto", 6, Emulate, &[ptr(1, Bulk, Result(1)), ptr(4, In, Arg(5, 1))]), &[1, 2, 4, 5]),
    recomputing(shape(nr::RECVFROM, "recvfrom", 6, Emulate, &[ptr(1, Out, Result(1)), ptr(4, Out, ValueResult(5)), ptr(5, InOut, Fixed(4))]), &[1, 2, 4, 5]),
    recomputing(shape(nr::SENDMSG, "sendmsg", 3, Emulate, &[ptr(1, Bulk, Msghdr)]), &[1]),
    shape(nr::RECVMSG, "recvmsg", 3, Emulate, &[ptr(1, Out, Msghdr)]),
    shape(nr::SHUTDOWN, "shutdown", 2, Emulate, &[]),
    shape(nr::BIND, "bind", 3, Emulate, &[ptr(1, In, Arg(2, 1))]),
    shape(nr::LISTEN, "listen", 2, Emulate, &[]),
    shape(nr::GETSOCKNAME, "getsockname", 3, Emulate, NAME),
    shape(nr::GETPEERNAME, "getpeername", 3, Emulate, NAME),
    // The numbers are written before the sockets are made.
    shape(nr::SOCKETPAIR, "socketpair", 4, Emulate, &[ptr(3, OutAlways, Fixed(8))]),
    shape(nr::CLONE, "clone", 5, Emulate, &[]),
    shape(nr::FORK, "fork", 0, Emulate, &[]),
    shape(nr::VFORK, "vfork", 0, Emulate, &[]),
    shape(nr::EXECVE, "execve", 3, Emulate, PATH0),
    shape(nr::EXIT, "exit", 1, Execute, &[]),
    shape(nr::WAIT4, "wait4", 4, Emulate, &[ptr(1, Out, Fixed(4)), ptr(3, Out, Fixed(144))]),
    shape(nr::KILL, "kill", 2, Emulate, &[]),
    shape(nr::UNAME, "uname", 1, Emulate, &[ptr(0, Out, Fixed(390))]),
    shape(nr::FLOCK, "flock", 2, Emulate, &[]),
    shape(nr::FSYNC, "fsync", 1, Emulate, &[]),
    shape(nr::FDATASYNC, "fdatasync", 1, Emulate, &[]),
    shape(nr::TRUNCATE, "truncate", 2, Emulate, PATH0),
    shape(nr::FTRUNCATE, "ftruncate", 2, Emulate, &[]),
    shape(nr::GETCWD, "getcwd", 2, Emulate, &[ptr(0, Out, Result(1))]),
    shape(nr::CHDIR, "chdir", 1, Emulate, PATH0),
    shape(nr::FCHDIR, "fchdir", 1, Emulate, &[]),
    shape(nr::RENAME, "rename", 2, Emulate, PATHS01),
    shape(nr::MKDIR, "mkdir", 2, Emulate, PATH0),
    shape(nr::RMDIR, "rmdir", 1, Emulate, PATH0),
    shape(nr::CREAT, "creat", 2, Emulate, PATH0),
    shape(nr::LINK, "link", 2, Emulate, PATHS01),
    shape(nr::UNLINK, "unlink", 1, Emulate, PATH0),
    shape(nr::SYMLINK, "symlink", 2, Emulate, PATHS01),
    shape(nr::READLINK, "readlink", 3, Emulate, &[ptr(0, In, CString), ptr(1, Out, Result(1))]),
    shape(nr::CHMOD, "chmod", 2, Emulate, PATH0),
    shape(nr::FCHMOD, "fchmod", 2, Emulate, &[]),
    shape(nr::CHOWN, "chown", 3, Emulate, PATH0),
    shape(nr::FCHOWN, "fchown", 3, Emulate, &[]),
    shape(nr::LCHOWN, "lchown", 3, Emulate, PATH0),
    shape(nr::UMASK, "umask", 1, Emulate, &[]),
    recomputing(shape(nr::GETTIMEOFDAY, "gettimeofday", 2, Emulate, &[ptr(0, Out, Fixed(16)), ptr(1, Out, Fixed(8))]), &[0, 1]),
    shape(nr::GETRLIMIT, "getrlimit", 2, Emulate, &[ptr(1, Out, Fixed(16))]),
    shape(nr::GETRUSAGE, "getrusage", 2, Emulate, &[ptr(1, Out, Fixed(144))]),
    shape(nr::SYSINFO, "sysinfo", 1, Emulate, &[ptr(0, Out, Fixed(112))]),
    shape(nr::TIMES, "times", 1, Emulate, &[ptr(0, Out, Fixed(32))]),
    shape(nr::GETUID, "getuid", 0, Emulate, &[]),
    shape(nr::GETGID, "getgid", 0, Emulate, &[]),
    shape(nr::SETUID, "setuid", 1, Emulate, &[]),
    shape(nr::SETGID, "setgid", 1, Emulate, &[]),
    shape(nr::GETEUID, "geteuid", 0, Emulate, &[]),
    shape(nr::GETEGID, "getegid", 0, Emulate, &[]),
    shape(nr::SETPGID, "setpgid", 2, Emulate, &[]),
    shape(nr::GETPPID, "getppid", 0, Emulate, &[]),
    shape(nr::GETPGRP, "getpgrp", 0, Emulate, &[]),
    shape(nr::SETSID, "setsid", 0, Emulate, &[]),
    shape(nr::SETREUID, "setreuid", 2, Emulate, &[]),
    shape(nr::SETREGID, "setregid", 2, Emulate, &[]),
    shape(nr::GETGROUPS, "getgroups", 2, Emulate, &[ptr(1, Out, Result(4))]),
    shape(nr::SETGROUPS, "setgroups", 2, Emulate, &[ptr(1, In, Arg(0, 4))]),
    shape(nr::SETRESUID, "setresuid", 3, Emulate, &[]),
    shape(nr::GETRESUID, "getresuid", 3, Emulate, &[ptr(0, Out, Fixed(4)), ptr(1, Out, Fixed(4)), ptr(2, Out, Fixed(4))]),
    shape(nr::SETRESGID, "setresgid", 3, Emulate, &[]),
    shape(nr::GETRESGID, "getresgid", 3, Emulate, &[ptr(0, Out, Fixed(4)), ptr(1, Out, Fixed(4)), ptr(2, Out, Fixed(4))]),
    shape(nr::GETPGID, "getpgid", 1, Emulate, &[]),
    shape(nr::GETSID, "getsid", 1, Emulate, &[]),
    shape(nr::CAPGET, "capget", 2, Emulate, &[ptr(0, InOut, Fixed(8)), ptr(1, Out, Fixed(24))]),
    shape(nr::CAPSET, "capset", 2, Emulate, &[ptr(0, InOut, Fixed(8)), ptr(1, In, Fixed(24))]),
    shape(nr::RT_SIGPENDING, "rt_sigpending", 2, Emulate, &[ptr(0, Out, Arg(1, 1))]),
    shape(nr::RT_SIGTIMEDWAIT, "rt_sigtimedwait", 4, Emulate, &[ptr(0, In, Arg(3, 1)), ptr(1, Out, Fixed(128)), ptr(2, In, Fixed(16))]),
    shape(nr::RT_SIGQUEUEINFO, "rt_sigqueueinfo", 3, Emulate, &[ptr(2, In, Fixed(128))]),
    shape(nr::RT_SIGSUSPEND, "rt_sigsuspend", 2, Emulate, &[ptr(0, In, Arg(1, 1))]),
    shape(nr::SIGALTSTACK, "sigaltstack", 2, Execute, &[ptr(0, In, Fixed(24)), ptr(1, Out, Fixed(24))]),
    shape(nr::UTIME, "utime", 2, Emulate, &[ptr(0, In, CString), ptr(1, In, Fixed(16))]),
    shape(nr::MKNOD, "mknod", 3, Emulate, PATH0),
    shape(nr::STATFS, "statfs", 2, Emulate, &[ptr(0, In, CString), ptr(1, Out, Fixed(120))]),
    shape(nr::FSTATFS, "fstatfs", 2, Emulate, &[ptr(1, Out, Fixed(120))]),
    shape(nr::GETPRIORITY, "getpriority", 2, Emulate, &[]),
    shape(nr::SETPRIORITY, "setpriority", 3, Emulate, &[]),
    shape(nr::SCHED_GETPARAM, "sched_getparam", 2, Emulate, &[ptr(1, Out, Fixed(4))]),
    shape(nr::SCHED_GETSCHEDULER, "sched_getscheduler", 1, Emulate, &[]),
    shape(nr::SCHED_GET_PRIORITY_MAX, "sched_get_priority_max", 1, Emulate, &[]),
    shape(nr::SCHED_GET_PRIORITY_MIN, "sched_get_priority_min", 1, Emulate, &[]),
    shape(nr::MLOCK, "mlock", 2, Emulate, &[]),
    shape(nr::MUNLOCK, "munlock", 2, Emulate, &[]),
    shape(nr::MLOCKALL, "mlockall", 1, Emulate, &[]),
    shape(nr::MUNLOCKALL, "munlockall", 0, Emulate, &[]),
    shape(nr::SETRLIMIT, "setrlimit", 2, Emulate, &[ptr(1, In, Fixed(16))]),
    shape(nr::CHROOT, "chroot", 1, Emulate, PATH0),
    shape(nr::SYNC, "sync", 0, Emulate, &[]),
    shape(nr::GETTID, "gettid", 0, Answer(0), &[]),
    shape(nr::READAHEAD, "readahead", 3, Emulate, &[]),
    shape(nr::TKILL, "tkill", 2, Emulate, &[]),
    recomputing(shape(nr::TIME, "time", 1, Emulate, &[ptr(0, Out, Fixed(8))]), &[0]),
    shape(nr::SCHED_SETAFFINITY, "sched_setaffinity", 3, Answer(0), &[ptr(2, In, Arg(1, 1))]),
    shape(nr::SCHED_GETAFFINITY, "sched_getaffinity", 3, Emulate, &[ptr(2, Out, Result(1))]),
    shape(nr::EPOLL_CREATE, "epoll_create", 1, Emulate, &[]),
    shape(nr::GETDENTS64, "getdents64", 3, Emulate, &[ptr(1, Out, Result(1))]),
    shape(nr::SET_TID_ADDRESS, "set_tid_address", 1, Execute, &[]),
    shape(nr::RESTART_SYSCALL, "restart_syscall", 0, Emulate, &[]),
    shape(nr::FADVISE64, "fadvise64", 4, Emulate, &[]),
    shape(nr::TIMER_CREATE, "timer_create", 3, Emulate, &[ptr(1, In, Fixed(64)), ptr(2, Out, Fixed(4))]),
    shape(nr::TIMER_SETTIME, "timer_settime", 4, Emulate, &[ptr(2, In, Fixed(32)), ptr(3, Out, Fixed(32))]),
    shape(nr::TIMER_GETTIME, "timer_gettime", 2, Emulate, &[ptr(1, Out, Fixed(32))]),
    shape(nr::TIMER_GETOVERRUN, "timer_getoverrun", 1, Emulate, &[]),
    shape(nr::TIMER_DELETE, "timer_delete", 1, Emulate, &[]),
    recomputing(shape(nr::CLOCK_GETTIME, "clock_gettime", 2, Emulate, &[ptr(1, Out, Fixed(16))]), &[1]),
    shape(nr::CLOCK_GETRES, "clock_getres", 2, Emulate, &[ptr(1, Out, Fixed(16))]),
    recomputing(shape(nr::CLOCK_NANOSLEEP, "clock_nanosleep", 4, Emulate, &[ptr(2, In, Fixed(16)), ptr(3, OutAlways, Fixed(16))]), &[2, 3]),
    shape(nr::EXIT_GROUP, "exit_group", 1, Execute, &[]),
    recomputing(shape(nr::EPOLL_WAIT, "epoll_wait", 4, Emulate, &[ptr(1, Out, Result(12))]), &[1, 2, 3]),
    recomputing(shape(nr::EPOLL_CTL, "epoll_ctl", 4, Emulate, &[ptr(3, In, Fixed(12))]), &[3]),
    shape(nr::TGKILL, "tgkill", 3, Emulate, &[]),
    shape(nr::UTIMES, "utimes", 2, Emulate, &[ptr(0, In, CString), ptr(1, In, Fixed(32))]),
    shape(nr::WAITID, "waitid", 5, Emulate, &[ptr(2, OutAlways, Fixed(128)), ptr(4, Out, Fixed(144))]),
    shape(nr::INOTIFY_INIT, "inotify_init", 0, Emulate, &[]),
    shape(nr::INOTIFY_ADD_WATCH, "inotify_add_watch", 3, Emulate, PATH1),
    shape(nr::INOTIFY_RM_WATCH, "inotify_rm_watch", 2, Emulate, &[]),
    recomputing(shape(nr::OPENAT, "openat", 4, Emulate, PATH1), &[1]),
    shape(nr::MKDIRAT, "mkdirat", 3, Emulate, PATH1),
    shape(nr::MKNODAT, "mknodat", 4, Emulate, PATH1),
    shape(nr::FCHOWNAT, "fchownat", 5, Emulate, PATH1),
    recomputing(shape(nr::NEWFSTATAT, "newfstatat", 4, Emulate, &[ptr(1, In, CString), ptr(2, Out, Fixed(144))]), &[1, 2, 3]),
    shape(nr::UNLINKAT, "unlinkat", 3, Emulate, PATH1),
    shape(nr::RENAMEAT, "renameat", 4, Emulate, PATHS13),
    shape(nr::LINKAT, "linkat", 5, Emulate, PATHS13),
    shape(nr::SYMLINKAT, "symlinkat", 3, Emulate, &[ptr(0, In, CString), ptr(2, In, CString)]),
    shape(nr::READLINKAT, "readlinkat", 4, Emulate, &[ptr(1, In, CString), ptr(2, Out, Result(1))]),
    shape(nr::FCHMODAT, "fchmodat", 3, Emulate, PATH1),
    shape(nr::FACCESSAT, "faccessat", 3, Emulate, PATH1),
    recomputing(shape(nr::PSELECT6, "pselect6", 6, Emulate, &[ptr(1, InOut, FdSet), ptr(2, InOut, FdSet), ptr(3, InOut, FdSet), ptr(4, InOut, Fixed(16)), ptr(5, In, SigsetPair)]), &[0, 1, 2, 3, 4, 5]),
    recomputing(shape(nr::PPOLL, "ppoll", 5, Emulate, &[ptr(0, InOut, Arg(1, 8)), ptr(2, InOut, Fixed(16)), ptr(3, In, Arg(4, 1))]), &[0, 1, 2, 3, 4]),
    shape(nr::SET_ROBUST_LIST, "set_robust_list", 2, Execute, &[]),
    shape(nr::SYNC_FILE_RANGE, "sync_file_range", 4, Emulate, &[]),
    shape(nr::UTIMENSAT, "utimensat", 4, Emulate, &[ptr(1, In, CString), ptr(2, In, Fixed(32))]),
    recomputing(shape(nr::EPOLL_PWAIT, "epoll_pwait", 6, Emulate, &[ptr(1, Out, Result(12)), ptr(4, In, Arg(5, 1))]), &[1, 2, 3, 4, 5]),
    shape(nr::SIGNALFD, "signalfd", 3, Emulate, &[ptr(1, In, Arg(2, 1))]),
    shape(nr::TIMERFD_CREATE, "timerfd_create", 2, Emulate, &[]),
    shape(nr::EVENTFD, "eventfd", 1, Emulate, &[]),
    shape(nr::FALLOCATE, "fallocate", 4, Emulate, &[]),
    shape(nr::TIMERFD_SETTIME, "timerfd_settime", 4, Emulate, &[ptr(2, In, Fixed(32)), ptr(3, Out, Fixed(32))]),
    shape(nr::TIMERFD_GETTIME, "timerfd_gettime", 2, Emulate, &[ptr(1, Out, Fixed(32))]),
    recomputing(shape(nr::ACCEPT4, "accept4", 4, Emulate, NAME), &[1, 2]),
    shape(nr::SIGNALFD4, "signalfd4", 4, Emulate, &[ptr(1, In, Arg(2, 1))]),
    shape(nr::EVENTFD2, "eventfd2", 2, Emulate, &[]),
    shape(nr::EPOLL_CREATE1, "epoll_create1", 1, Emulate, &[]),
    shape(nr::DUP3, "dup3", 3, Emulate, &[]),
    shape(nr::PIPE2, "pipe2", 2, Emulate, &[ptr(0, Out, Fixed(8))]),
    shape(nr::INOTIFY_INIT1, "inotify_init1", 1, Emulate, &[]),
    shape(nr::PREADV, "preadv", 5, Emulate, &[ptr(1, Out, Iovec(2))]),
    shape(nr::PWRITEV, "pwritev", 5, Emulate, &[ptr(1, Bulk, Iovec(2))]),
    shape(nr::RT_TGSIGQUEUEINFO, "rt_tgsigqueueinfo", 4, Emulate, &[ptr(3, In, Fixed(128))]),
    shape(nr::RECVMMSG, "recvmmsg", 5, Emulate, &[ptr(1, Out, Mmsghdr), ptr(4, InOut, Fixed(16))]),
    shape(nr::PRLIMIT64, "prlimit64", 4, Emulate, &[ptr(2, In, Fixed(16)), ptr(3, Out, Fixed(16))]),
    shape(nr::SENDMMSG, "sendmmsg", 4, Emulate, &[ptr(1, Bulk, Mmsghdr)]),
    shape(nr::GETCPU, "getcpu", 3, Emulate, &[ptr(0, Out, Fixed(4)), ptr(1, Out, Fixed(4))]),
    shape(nr::RENAMEAT2, "renameat2", 5, Emulate, PATHS13),
    recomputing(shape(nr::GETRANDOM, "getrandom", 3, Emulate, &[ptr(0, Out, Result(1))]), &[0, 1, 2]),
    shape(nr::EXECVEAT, "execveat", 5, Emulate, PATH1),
    shape(nr::COPY_FILE_RANGE, "copy_file_range", 6, Emulate, &[ptr(1, InOut, Fixed(8)), ptr(3, InOut, Fixed(8))]),
    shape(nr::PREADV2, "preadv2", 6, Emulate, &[ptr(1, Out, Iovec(2))]),
    shape(nr::PWRITEV2, "pwritev2", 6, Emulate, &[ptr(1, Bulk, Iovec(2))]),
    shape(nr::STATX, "statx", 5, Emulate, &[ptr(1, In, CString), ptr(4, Out, Fixed(256))]),
    shape(nr::RSEQ, "rseq", 4, Answer(libc::ENOSYS), &[]),
    shape(nr::CLONE3, "clone3", 2, Answer(libc::ENOSYS), &[]),
    shape(nr::CLOSE_RANGE, "close_range", 3, Emulate, &[]),
    shape(nr::OPENAT2, "openat2", 4, Emulate, &[ptr(1, In, CString), ptr(2, In, Arg(3, 1))]),
    shape(nr::FACCESSAT2, "faccessat2", 4, Emulate, PATH1),
    shape(nr::EPOLL_PWAIT2, "epoll_pwait2", 6, Emulate, &[ptr(1, Out, Result(12)), ptr(3, Digest, Fixed(16)), ptr(4, In, Arg(5, 1))]),
];

/// The numbers of Linux 6.18, both ends included; those between them belong to no call.
const NUMBERS: [(u16, u16); 2] = [(0, 336), (424, 469)];

/// Whether every call is in exactly one place: here, among the multiplexed ones or among the refused ones, each in order.
const fn is_complete() -> bool {
    let (mut shape, mut multiplexed, mut refused) = (0, 0, 0);
    let mut range = 0;
    while range < NUMBERS.len() {
        let (mut number, last) = NUMBERS[range];
        while number <= last {
            let mut places = 0;
            if shape < TABLE.len() && TABLE[shape].number == number {
                (shape, places) = (shape + 1, places + 1);
            }
            if multiplexed < operations::ALL.len() && operations::ALL[multiplexed].number() == number {
                (multiplexed, places) = (multiplexed + 1, places + 1);
            }
            if refused < names::REFUSED.len() && names::REFUSED[refused].0 == number {
                (refused, places) = (refused + 1, places + 1);
            }
            if places != 1 {
                return false;
            }
            number += 1;
        }
        range += 1;
    }
    shape == TABLE.len() && multiplexed == operations::ALL.len() && refused == names::REFUSED.len()
}

const _: () = assert!(is_complete(), "a system call is missing, out of order, or both known and refused");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pointer_lies_within_the_arguments() {
        for shape in TABLE.iter().chain(operations::all().flat_map(operations::Operations::shapes)) {
            assert!(shape.pointers.iter().all(|p| p.arg < shape.nargs), "{}", shape.name);
        }
    }
}

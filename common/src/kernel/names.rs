//! Names of the calls that the model knows, for its messages.

macro_rules! names {
    ($($call:ident)*) => {
        /// The name of a call by its number.
        pub(super) fn name(number: i64) -> Option<&'static str> {
            // `SYS_` is cut off: what remains is the call's own name.
            $(if number == libc::$call { return stringify!($call).strip_prefix("SYS_"); })*
            None
        }

        #[cfg(test)]
        pub(super) const NUMBERS: &[i64] = &[$(libc::$call),*];
    };
}

names! {
    SYS_accept SYS_accept4 SYS_alarm SYS_bind SYS_bpf SYS_chdir SYS_chroot SYS_clock_gettime SYS_clone SYS_clone3 SYS_close
    SYS_close_range SYS_connect SYS_copy_file_range SYS_creat SYS_dup SYS_dup2 SYS_dup3 SYS_epoll_create
    SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_epoll_wait SYS_eventfd SYS_eventfd2 SYS_execve
    SYS_execveat SYS_fanotify_init SYS_fchdir SYS_fcntl SYS_flock SYS_fork SYS_fsmount SYS_fsopen SYS_fspick
    SYS_getdents64 SYS_inotify_add_watch SYS_inotify_init SYS_inotify_init1 SYS_inotify_rm_watch SYS_io_uring_setup
    SYS_ioctl SYS_kill SYS_landlock_create_ruleset SYS_listen SYS_lseek SYS_memfd_create SYS_memfd_secret SYS_mq_open
    SYS_open SYS_open_by_handle_at SYS_open_tree SYS_openat SYS_openat2 SYS_perf_event_open SYS_pidfd_getfd
    SYS_pidfd_open SYS_pipe SYS_pipe2 SYS_prctl SYS_preadv2 SYS_prlimit64 SYS_pwritev2 SYS_read SYS_readv SYS_recvfrom
    SYS_recvmmsg SYS_recvmsg SYS_rename SYS_renameat SYS_renameat2 SYS_rmdir SYS_rt_sigaction SYS_rt_sigpending
    SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigtimedwait SYS_sendfile SYS_sendmmsg SYS_sendmsg
    SYS_sendto SYS_set_robust_list SYS_set_tid_address SYS_setgid SYS_setgroups SYS_setitimer SYS_setpgid SYS_setregid
    SYS_setresgid SYS_setresuid SYS_setreuid SYS_setrlimit SYS_setsid SYS_setsockopt SYS_setuid SYS_shutdown
    SYS_sigaltstack SYS_signalfd SYS_signalfd4 SYS_socket SYS_socketpair SYS_splice SYS_tee SYS_tgkill SYS_timer_create
    SYS_timer_delete SYS_timer_settime SYS_timerfd_create SYS_timerfd_settime SYS_tkill SYS_umask SYS_unlink SYS_unlinkat SYS_userfaultfd SYS_vfork
    SYS_vmsplice SYS_wait4 SYS_write SYS_writev
}

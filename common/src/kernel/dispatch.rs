//! Which call changes which part of the model.
//!
//! A call that failed changes nothing, but for the few that have done their work all the same. A call that is not named
//! here changes nothing that the model keeps.

use super::Kernel;
use super::call::{Call, ModelError};
use super::children::WaitFor;
use super::posix_timer::Origin;
use super::signal::Sent;
use crate::abi;

const CLONE_PIDFD: u64 = libc::CLONE_PIDFD as u64;

impl Kernel {
    pub(super) fn called(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        if call.failed() {
            return self.failed(call);
        }
        match call.number() {
            libc::SYS_read | libc::SYS_readv => self.receive(call, 0),
            libc::SYS_recvfrom => self.receive(call, call.int(3)),
            libc::SYS_recvmsg => self.recvmsg(call),
            libc::SYS_recvmmsg => self.recvmmsg(call),
            libc::SYS_write | libc::SYS_writev | libc::SYS_sendto | libc::SYS_sendmsg => self.send(call),
            libc::SYS_sendmmsg => self.sendmmsg(call),
            libc::SYS_sendfile => self.sendfile(call),
            // An offset of -1 means the file's own.
            libc::SYS_preadv2 if call.arg(3) == u64::MAX => self.receive(call, 0),
            libc::SYS_pwritev2 if call.arg(3) == u64::MAX => self.send(call),
            libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => self.epoll_wait(call),
            libc::SYS_epoll_ctl => self.epoll_ctl(call),
            libc::SYS_clock_gettime => self.clock_gettime(call),
            libc::SYS_close => self.close(call),
            libc::SYS_close_range => self.close_range(call),
            libc::SYS_dup => self.dup(call, false),
            libc::SYS_dup2 => self.dup_to(call, 0),
            libc::SYS_dup3 => self.dup_to(call, call.int(2)),
            libc::SYS_fcntl => self.fcntl(call),
            libc::SYS_ioctl => self.ioctl(call),
            libc::SYS_rt_sigaction => self.rt_sigaction(call),
            libc::SYS_rt_sigprocmask => self.rt_sigprocmask(call),
            libc::SYS_rt_sigreturn => self.rt_sigreturn(call),
            libc::SYS_rt_sigpending => self.rt_sigpending(call),
            libc::SYS_rt_sigtimedwait => {
                self.took(call.int_result(), Origin::of_siginfo(&call.output(1)));
                Ok(())
            }
            libc::SYS_sigaltstack => self.sigaltstack(call),
            libc::SYS_kill => {
                self.kill(call.int(0), call.int(1), Sent::ToProcess);
                Ok(())
            }
            libc::SYS_tkill => {
                self.kill(call.int(0), call.int(1), Sent::ToThread);
                Ok(())
            }
            libc::SYS_tgkill => {
                self.kill(call.int(1), call.int(2), Sent::ToThread);
                Ok(())
            }
            libc::SYS_rt_sigqueueinfo => {
                self.kill(call.int(0), call.int(1), Sent::Queued(call.input(2)?.to_vec()));
                Ok(())
            }
            libc::SYS_rt_tgsigqueueinfo => {
                self.kill(call.int(1), call.int(2), Sent::QueuedToThread(call.input(3)?.to_vec()));
                Ok(())
            }
            libc::SYS_setitimer => self.setitimer(call),
            libc::SYS_alarm => self.alarm(call),
            libc::SYS_timer_create => self.timer_create(call),
            libc::SYS_timer_settime => self.timer_settime(call),
            libc::SYS_timer_delete => self.timer_delete(call),
            libc::SYS_execve | libc::SYS_execveat => {
                Err(call.inconsistent("a call that fails, or a record of an exec", call.result()))
            }
            libc::SYS_fchdir => self.fchdir(call),
            libc::SYS_mlock | libc::SYS_munlock | libc::SYS_mlockall | libc::SYS_munlockall => {
                self.locks_memory(call);
                Ok(())
            }
            libc::SYS_brk | libc::SYS_mmap | libc::SYS_munmap | libc::SYS_mremap => {
                self.locks_memory(call);
                Ok(())
            }
            _ => self.called_on_sockets(call),
        }
    }

    fn called_on_sockets(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        match call.number() {
            libc::SYS_socket => self.socket(call),
            libc::SYS_socketpair => self.socketpair(call),
            libc::SYS_bind => self.bind(call),
            libc::SYS_listen => self.listen(call),
            libc::SYS_accept => self.accept(call, 0),
            libc::SYS_accept4 => self.accept(call, call.int(3)),
            libc::SYS_connect => self.connect(call),
            libc::SYS_shutdown => self.shutdown(call),
            libc::SYS_setsockopt => self.setsockopt(call),
            libc::SYS_epoll_create => self.epoll_create(call, 0),
            libc::SYS_epoll_create1 => self.epoll_create(call, call.int(0)),
            libc::SYS_eventfd => self.eventfd(call, 0),
            libc::SYS_eventfd2 => self.eventfd(call, call.int(1)),
            libc::SYS_signalfd => self.signalfd(call, 0),
            libc::SYS_signalfd4 => self.signalfd(call, call.int(3)),
            libc::SYS_timerfd_create => self.timerfd_create(call),
            libc::SYS_timerfd_settime => self.timerfd_settime(call),
            libc::SYS_inotify_init => self.inotify_init(call, 0),
            libc::SYS_inotify_init1 => self.inotify_init(call, call.int(0)),
            libc::SYS_inotify_add_watch => self.inotify_add_watch(call),
            libc::SYS_inotify_rm_watch => self.inotify_rm_watch(call),
            libc::SYS_pipe => self.pipe(call, 0),
            libc::SYS_pipe2 => self.pipe(call, call.int(1)),
            _ => self.called_on_files(call),
        }
    }

    fn called_on_files(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        match call.number() {
            libc::SYS_open => self.open(call, None, 0, call.int(1)),
            libc::SYS_creat => self.open(call, None, 0, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC),
            libc::SYS_openat => self.open(call, Some(0), 1, call.int(2)),
            libc::SYS_openat2 => {
                let flags = u64::from_le_bytes(call.input_array(2)?);
                self.open(call, Some(0), 1, abi::int(flags))
            }
            libc::SYS_lseek => self.lseek(call),
            libc::SYS_getdents64 => self.getdents(call),
            libc::SYS_copy_file_range => self.copy_file_range(call),
            libc::SYS_flock => self.flock(call),
            libc::SYS_rename => self.rename(call, (libc::AT_FDCWD, 0), (libc::AT_FDCWD, 1)),
            libc::SYS_renameat | libc::SYS_renameat2 => self.rename(call, (call.int(0), 1), (call.int(2), 3)),
            libc::SYS_unlink | libc::SYS_rmdir => self.unlink(call, libc::AT_FDCWD, 0),
            libc::SYS_unlinkat => self.unlink(call, call.int(0), 1),
            _ => self.made_unknown(call),
        }
    }

    /// What is left: who the process is, and calls that make something which cannot be carried over.
    fn made_unknown(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        match call.number() {
            libc::SYS_memfd_create
            | libc::SYS_memfd_secret
            | libc::SYS_io_uring_setup
            | libc::SYS_perf_event_open
            | libc::SYS_userfaultfd
            | libc::SYS_bpf
            | libc::SYS_pidfd_open
            | libc::SYS_pidfd_getfd
            | libc::SYS_fanotify_init
            | libc::SYS_open_by_handle_at
            | libc::SYS_mq_open
            | libc::SYS_fsopen
            | libc::SYS_fsmount
            | libc::SYS_fspick
            | libc::SYS_open_tree
            | libc::SYS_landlock_create_ruleset => Err(call.unsupported("a descriptor")),
            libc::SYS_clone if call.arg(0) & CLONE_PIDFD != 0 => Err(call.unsupported("a descriptor of a child")),
            libc::SYS_clone3 => Err(call.unsupported("a child or thread")),
            libc::SYS_splice | libc::SYS_tee | libc::SYS_vmsplice if call.count() > 0 => {
                Err(call.unsupported("pipe content that the record does not hold"))
            }
            _ => self.identity_call(call).map(drop),
        }
    }

    fn failed(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        match call.number() {
            // The connection is under way.
            libc::SYS_connect if call.failed_with(libc::EINPROGRESS) || call.failed_with(libc::EINTR) => {
                self.connect(call)
            }
            // Linux frees the number whatever else goes wrong (close(2)).
            libc::SYS_close if !call.failed_with(libc::EBADF) => {
                self.close_number(call.int(0));
                Ok(())
            }
            // They have read and applied what is new, and then could not write what was before.
            libc::SYS_rt_sigaction if call.failed_with(libc::EFAULT) && call.has_input(1, 32) => {
                self.rt_sigaction(call)
            }
            libc::SYS_rt_sigprocmask if call.failed_with(libc::EFAULT) && call.has_input(1, 8) => {
                self.rt_sigprocmask(call)
            }
            libc::SYS_sigaltstack if call.failed_with(libc::EFAULT) && call.has_input(0, 24) => self.sigaltstack(call),
            libc::SYS_wait4 if call.failed_with(libc::ECHILD) => {
                self.no_child(Some(WaitFor::of_wait4(call.int(0))), call.int(2));
                Ok(())
            }
            libc::SYS_waitid if call.failed_with(libc::ECHILD) => {
                self.no_child(WaitFor::of_waitid(call.uint(0), call.int(1)), call.int(3));
                Ok(())
            }
            libc::SYS_setitimer
                if call.failed_with(libc::EFAULT)
                    && call.arg(2) != 0
                    && (call.arg(1) == 0 || call.has_input(1, 32)) =>
            {
                self.setitimer(call)
            }
            libc::SYS_timerfd_settime
                if call.failed_with(libc::EFAULT) && call.arg(3) != 0 && call.has_input(2, 32) =>
            {
                self.timerfd_settime(call)
            }
            libc::SYS_prlimit64 if call.failed_with(libc::EFAULT) && call.arg(3) != 0 && call.has_input(2, 16) => {
                self.identity_call(call).map(drop)
            }
            libc::SYS_timer_settime if call.failed_with(libc::EFAULT) && call.has_input(2, 32) => {
                self.timer_settime(call)
            }
            number if call.failed_with(libc::EPIPE) => {
                let flags = match number {
                    libc::SYS_sendto | libc::SYS_sendmmsg => call.int(3),
                    libc::SYS_sendmsg => call.int(2),
                    libc::SYS_write | libc::SYS_writev | libc::SYS_pwritev2 | libc::SYS_sendfile => 0,
                    // No other call writes to where somebody reads, nor holds argument 0 for sure.
                    _ => return Ok(()),
                };
                if flags & libc::MSG_NOSIGNAL == 0 {
                    self.nobody_reads(call.int(0));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

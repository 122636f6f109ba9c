// signalfd: several signals in one read(2), those of lower numbers first, every field; what is read is pending no longer; a set
// with SIGKILL; two descriptors that compete.
// output: fixed
#include "guest.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>

int main(void) {
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGKILL);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGPIPE);
    sigaddset(&set, SIGRTMIN + 1);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK)), other = OK(signalfd(-1, &set, SFD_NONBLOCK)), ends[2];
    int epoll = OK(epoll_create1(0));
    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.u32 = 7}));
    struct epoll_event event;
    CHECK(epoll_wait(epoll, &event, 1, 0) == 0);
    for (int i = 0; i < 3; i++) OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 5 - i}));
    OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2));
    OK(pipe(ends));
    OK(close(ends[0]));
    FAILS(EPIPE, write(ends[1], "x", 1));
    CHECK(epoll_wait(epoll, &event, 1, 1000) == 1 && event.data.u32 == 7);
    struct signalfd_siginfo infos[8];
    ssize_t length = OK(read(fd, infos, 3 * sizeof *infos));
    CHECK(length == 3 * sizeof *infos);
    length += OK(read(other, infos + 3, 5 * sizeof *infos));
    CHECK(length == 5 * sizeof *infos);
    for (int i = 0; i < 5; i++) {
        const struct signalfd_siginfo *s = &infos[i];
        CHECK(s->ssi_pid == (uint32_t)getpid() && s->ssi_uid == getuid());
        printf("%u: code %d errno %d value %d fd %d trap %u status %d\n", s->ssi_signo, s->ssi_code, s->ssi_errno,
               s->ssi_int, s->ssi_fd, s->ssi_trapno, s->ssi_status);
    }
    CHECK(infos[0].ssi_signo == SIGUSR2 && infos[1].ssi_signo == SIGPIPE && infos[4].ssi_int == 3);
    FAILS(EAGAIN, read(fd, infos, sizeof infos));
    OK(sigpending(&pending));
    CHECK(!sigismember(&pending, SIGUSR2) && !sigismember(&pending, SIGRTMIN + 1));
    CHECK(epoll_wait(epoll, &event, 1, 0) == 0);
    FAILS(EINVAL, signalfd(0, &set, 0));
    FAILS(EINVAL, read(fd, infos, sizeof *infos - 1));
    return 0;
}

// signalfd4(2): blocked signals become readable, with sender and value.
#include "guest.h"

#include <poll.h>
#include <sys/signalfd.h>

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = OK(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    struct signalfd_siginfo info;
    FAILS(EAGAIN, read(fd, &info, sizeof info));
    OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 4711}));
    CHECK(read(fd, &info, sizeof info) == sizeof info);
    printf("signal %u code %d pid %u uid %u value %d\n", info.ssi_signo, info.ssi_code, info.ssi_pid, info.ssi_uid,
           info.ssi_int);
    CHECK(info.ssi_signo == SIGUSR1 && info.ssi_int == 4711 && info.ssi_pid == (uint32_t)getpid());
    tick_every(5, 0);
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    CHECK(poll(&entry, 1, 5000) == 1);
    CHECK(read(fd, &info, sizeof info) == sizeof info && info.ssi_signo == SIGALRM);
    printf("signal %u code %d\n", info.ssi_signo, info.ssi_code);
    sigdelset(&set, SIGUSR1);
    CHECK(signalfd(fd, &set, 0) == fd);
    OK(raise(SIGUSR1));
    FAILS(EAGAIN, read(fd, &info, sizeof info));
    OK(sigpending(&set));
    CHECK(sigismember(&set, SIGUSR1) && !sigismember(&set, SIGALRM));
    return 0;
}

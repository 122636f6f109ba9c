// epoll_pwait(2): the mask lets a blocked signal in; a tick interrupts a wait without a mask.
#include "guest.h"

#include <sys/epoll.h>

static volatile sig_atomic_t caught;

static void on_signal(int signal) { caught = signal; }

int main(void) {
    sigset_t hup, nothing;
    sigemptyset(&nothing);
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    OK(sigprocmask(SIG_BLOCK, &hup, NULL));
    handle(SIGHUP, on_signal, SA_RESTART);
    handle(SIGALRM, on_signal, SA_RESTART);
    int set = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    struct epoll_event event = {.events = EPOLLIN}, got;
    OK(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
    OK(raise(SIGHUP));
    FAILS(EINTR, epoll_pwait(set, &got, 1, 10000, &nothing));
    CHECK(caught == SIGHUP);
    caught = 0;
    OK(raise(SIGHUP));
    CHECK(write(ends[1], "x", 1) == 1);
    int n = epoll_pwait(set, &got, 1, 10000, &nothing);
    printf("ready and pending: %d, caught %d\n", n, caught);
    CHECK(n == 1 && !caught);
    char c;
    CHECK(read(ends[0], &c, 1) == 1);
    tick_every(5, 5);
    FAILS(EINTR, epoll_wait(set, &got, 1, 10000));
    tick_every(0, 0);
    CHECK(caught == SIGALRM);
    return 0;
}

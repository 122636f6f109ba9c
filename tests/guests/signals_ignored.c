// Signals that are ignored interrupt no call: epoll_wait(2), poll(2), sigtimedwait(2).
// output: fixed
#include "guest.h"

#include <poll.h>
#include <sys/epoll.h>

static long now(void) {
    struct timespec time;
    OK(clock_gettime(CLOCK_MONOTONIC, &time));
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int main(void) {
    int epoll = OK(epoll_create1(0)), ends[2];
    struct epoll_event event = {.events = EPOLLIN};
    OK(pipe(ends));
    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event));
    signal(SIGALRM, SIG_IGN);
    tick_every(2, 2);
    long start = now();
    CHECK(epoll_wait(epoll, &event, 1, 30) == 0);
    CHECK(now() - start >= 29 && now() - start < 1000);
    sigset_t set;
    sigemptyset(&set);
    CHECK(epoll_pwait(epoll, &event, 1, 10, &set) == 0);
    struct pollfd entry = {.fd = ends[0], .events = POLLIN};
    CHECK(poll(&entry, 1, 10) == 0);
    sigaddset(&set, SIGUSR1);
    struct timespec span = {0, 9000000};
    FAILS(EAGAIN, sigtimedwait(&set, NULL, &span));
    tick_every(0, 0);
    for (int signal = SIGCHLD; signal; signal = signal == SIGCHLD ? SIGURG : 0) {
        OK(kill(getpid(), signal));
        CHECK(epoll_wait(epoll, &event, 1, 1) == 0);
    }
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(epoll_wait(epoll, &event, 1, -1) == 1);
    printf("nothing was interrupted\n");
    return 0;
}

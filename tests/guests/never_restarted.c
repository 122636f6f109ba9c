// Calls that no SA_RESTART makes go on: epoll_wait, poll, select, pause, sigsuspend, nanosleep, semaphores' futex with a time,
// recv and accept with SO_RCVTIMEO.
#include "loopback.h"

#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/select.h>

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

#define INTERRUPTED(call)                                                                                       \
    do {                                                                                                        \
        int before = ticks;                                                                                     \
        FAILS(EINTR, call);                                                                                     \
        CHECK(ticks > before);                                                                                  \
    } while (0)

int main(void) {
    int ends[2], epoll = OK(epoll_create1(0));
    char text[4];
    struct epoll_event event;
    struct sockaddr_in address;
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    struct pollfd entry = {.fd = ends[0], .events = POLLIN};
    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &(struct epoll_event){.events = EPOLLIN}));
    handle(SIGALRM, on_tick, SA_RESTART);
    tick_every(2, 2);
    INTERRUPTED(epoll_wait(epoll, &event, 1, -1));
    INTERRUPTED(epoll_wait(epoll, &event, 1, 60000));
    INTERRUPTED(poll(&entry, 1, -1));
    INTERRUPTED(poll(&entry, 1, 60000));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    INTERRUPTED(select(ends[0] + 1, &set, NULL, NULL, NULL));
    INTERRUPTED(pause());
    INTERRUPTED(nanosleep(&(struct timespec){60, 0}, NULL));
    sigset_t none;
    sigemptyset(&none);
    INTERRUPTED(sigsuspend(&none));
    int word = 0;
    INTERRUPTED(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &(struct timespec){60, 0}, NULL, 0));
    struct timeval wait = {60, 0};
    OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait));
    INTERRUPTED(recv(ends[0], text, sizeof text, 0));
    int listener = listening(0, &address);
    OK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait));
    INTERRUPTED(accept(listener, NULL, NULL));
    tick_every(0, 0);
    printf("%d ticks\n", (int)ticks);
    return 0;
}

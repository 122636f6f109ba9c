// poll(2) and select(2) end with EINTR even under SA_RESTART; without a handler the wait goes on.
#include "guest.h"

#include <poll.h>
#include <sys/select.h>

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

int main(void) {
    int ends[2];
    OK(pipe(ends));
    struct pollfd entry = {.fd = ends[0], .events = POLLIN};
    handle(SIGALRM, on_tick, SA_RESTART);
    tick_every(5, 5);
    FAILS(EINTR, poll(&entry, 1, 20000));
    FAILS(EINTR, poll(&entry, 1, -1));
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    struct timeval limit = {20, 0};
    FAILS(EINTR, select(ends[0] + 1, &in, NULL, NULL, &limit));
    printf("left %ld.%06ld, still in the set: %d\n", limit.tv_sec, limit.tv_usec, FD_ISSET(ends[0], &in) != 0);
    CHECK(ticks >= 3);
    tick_every(0, 0);
    signal(SIGALRM, SIG_IGN);
    tick_every(2, 2);
    CHECK(poll(&entry, 1, 15) == 0);
    tick_every(0, 0);
    printf("ignored ticks interrupt nothing\n");
    return 0;
}

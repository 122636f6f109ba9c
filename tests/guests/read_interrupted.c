// A blocking read(2) that a signal interrupts: EINTR where the handler was set without SA_RESTART.
#include "loopback.h"

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

int main(void) {
    int ends[2], pair[2];
    char c;
    handle(SIGALRM, on_tick, 0);
    OK(pipe(ends));
    tcp_pair(pair);
    struct sockaddr_in address;
    int listener = listening(0, &address);
    tick_every(5, 5);
    FAILS(EINTR, read(ends[0], &c, 1));
    FAILS(EINTR, recv(pair[0], &c, 1, 0));
    FAILS(EINTR, accept(listener, NULL, NULL));
    tick_every(0, 0);
    printf("%s\n", ticks >= 3 ? "at least three ticks" : "too few ticks");
    CHECK(ticks >= 3);
    return 0;
}

// Computes, looks whether a signal has come, and waits for good if not: as servers do that end by SIGTERM.
#include "guest.h"

#include <sys/epoll.h>

static volatile sig_atomic_t ended;

static void on_term(int signal) { ended = signal; }

int main(void) {
    handle(SIGTERM, on_term, 0);
    int epoll = OK(epoll_create1(0));
    struct epoll_event event;
    dprintf(1, "computing\n");
    for (volatile unsigned long steps = 0; steps < 300000000; steps++)
        ;
    while (!ended) CHECK(epoll_wait(epoll, &event, 1, -1) == -1 && errno == EINTR);
    dprintf(1, "signal %d\n", ended);
    return 0;
}

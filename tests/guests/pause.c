// pause(2) ends with EINTR once a handler has run; a timer is the only source of the signal.
#include "guest.h"

static volatile sig_atomic_t caught;

static void on_signal(int signal) {
    caught = signal;
    dprintf(1, "handler of %d\n", signal);
}

int main(void) {
    handle(SIGALRM, on_signal, SA_RESTART);
    struct timespec before, after;
    OK(clock_gettime(CLOCK_MONOTONIC, &before));
    tick_every(10, 10);
    FAILS(EINTR, pause());
    tick_every(0, 0);
    OK(clock_gettime(CLOCK_MONOTONIC, &after));
    CHECK(caught == SIGALRM);
    printf("after %ld us\n",
           (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000);
    return 0;
}

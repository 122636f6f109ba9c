// ppoll(2): its mask lets a pending signal in; a raw call also says what is left of the timeout.
#include "loopback.h"

static volatile sig_atomic_t caught;

static void on_signal(int signal) { caught = signal; }

int main(void) {
    sigset_t usr2, nothing, now;
    sigemptyset(&nothing);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    OK(sigprocmask(SIG_BLOCK, &usr2, NULL));
    handle(SIGUSR2, on_signal, SA_RESTART);
    OK(raise(SIGUSR2));
    int ends[2];
    OK(pipe(ends));
    struct pollfd entry = {.fd = ends[0], .events = POLLIN};
    struct timespec limit = {20, 0};
    CHECK(ppoll(&entry, 1, &(struct timespec){0, 0}, NULL) == 0 && !caught);
    FAILS(EINTR, ppoll(&entry, 1, &limit, &nothing));
    CHECK(caught == SIGUSR2);
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR2));
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(syscall(SYS_ppoll, &entry, 1, &limit, NULL, 8) == 1 && entry.revents == POLLIN);
    printf("caught %d, left %ld.%09ld\n", caught, limit.tv_sec, limit.tv_nsec);
    limit = (struct timespec){0, 8000000};
    CHECK(syscall(SYS_ppoll, NULL, 0, &limit, NULL, 8) == 0);
    CHECK(limit.tv_sec == 0 && limit.tv_nsec == 0);
    FAILS(EINVAL, ppoll(&entry, 1, &(struct timespec){0, -1}, NULL));
    return 0;
}

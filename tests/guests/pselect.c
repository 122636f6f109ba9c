// pselect6(2): a blocked signal gets in for as long as the call waits, and is blocked again behind it.
#include "guest.h"

#include <sys/select.h>

static volatile sig_atomic_t caught;

static void on_signal(int signal) { caught = signal; }

int main(void) {
    sigset_t usr1, nothing, now;
    sigemptyset(&nothing);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &usr1, NULL));
    handle(SIGUSR1, on_signal, 0);
    OK(raise(SIGUSR1));
    CHECK(!caught);
    int ends[2];
    OK(pipe(ends));
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    struct timespec limit = {10, 0};
    FAILS(EINTR, pselect(ends[0] + 1, &in, NULL, NULL, &limit, &nothing));
    CHECK(caught == SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1));
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK(pselect(ends[0] + 1, &in, NULL, NULL, &limit, &usr1) == 1);
    printf("caught %d, ready %d\n", caught, FD_ISSET(ends[0], &in) != 0);
    FD_CLR(ends[0], &in);
    struct timespec brief = {0, 5000000};
    CHECK(pselect(0, NULL, NULL, NULL, &brief, NULL) == 0);
    return 0;
}

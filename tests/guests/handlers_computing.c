// Handlers that interrupt a computation, and each other: timers of three kinds, and waits by sigsuspend in between. What is computed does not depend on them.
// output: fixed
#include "guest.h"

#include <sys/time.h>

static volatile sig_atomic_t ticks[3], depth, deepest, waited;
static volatile unsigned long inner;

static unsigned long mix(unsigned long x, int rounds) {
    for (int i = 0; i < rounds; i++) x = (x ^ x >> 7) * 0x9e3779b97f4a7c15UL + (unsigned long)i;
    return x;
}

static void count(int which) {
    depth++;
    if (depth > deepest) deepest = depth;
    // Long enough for the others to come.
    inner = mix(inner, 2000000);
    ticks[which]++;
    depth--;
}

static void on_alarm(int signal) {
    CHECK(signal == SIGALRM);
    count(0);
}

static void on_profile(int signal) {
    CHECK(signal == SIGPROF);
    count(1);
}

static void on_virtual(int signal) {
    CHECK(signal == SIGVTALRM);
    count(2);
}

static void on_wake(int signal) {
    CHECK(signal == SIGUSR2);
    waited++;
}

int main(void) {
    handle(SIGALRM, on_alarm, 0);
    handle(SIGPROF, on_profile, SA_RESTART);
    handle(SIGUSR2, on_wake, 0);
    handle(SIGVTALRM, on_virtual, 0);
    struct itimerval real = {{0, 31000}, {0, 31000}}, profile = {{0, 47000}, {0, 47000}}, own = {{0, 23000}, {0, 23000}};
    OK(setitimer(ITIMER_REAL, &real, NULL));
    OK(setitimer(ITIMER_PROF, &profile, NULL));
    OK(setitimer(ITIMER_VIRTUAL, &own, NULL));

    unsigned long computed = 1;
    sigset_t wake, before;
    sigemptyset(&wake);
    sigaddset(&wake, SIGUSR2);
    for (int round = 0; round < 4; round++) {
        computed = mix(computed, 12000000);
        // It is pending as the wait begins.
        OK(sigprocmask(SIG_BLOCK, &wake, &before));
        OK(kill(getpid(), SIGUSR2));
        while (waited == round) CHECK(sigsuspend(&before) == -1 && errno == EINTR);
        OK(sigprocmask(SIG_SETMASK, &before, NULL));
    }
    // Each of them comes.
    while (ticks[0] < 3 || ticks[1] < 3 || ticks[2] < 3) computed += mix(1, 1000) & 0;
    struct itimerval never = {{0, 0}, {0, 0}};
    OK(setitimer(ITIMER_REAL, &never, NULL));
    OK(setitimer(ITIMER_PROF, &never, NULL));
    OK(setitimer(ITIMER_VIRTUAL, &never, NULL));
    CHECK(depth == 0 && deepest >= 1 && waited == 4);
    printf("%lx\n", computed);
    return 0;
}

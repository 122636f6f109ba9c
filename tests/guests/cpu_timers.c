// ITIMER_VIRTUAL and ITIMER_PROF with handlers: they tick as the program uses the processor, not while it sleeps, and are read
// and stopped like any other.
#include "guest.h"

static volatile sig_atomic_t ticks[65];

static void on_tick(int signal) { ticks[signal]++; }

static void runs(int which, int signal) {
    struct itimerval timer = {.it_value = {0, 5000}, .it_interval = {0, 5000}}, now, old, off = {0};
    struct timespec used;
    handle(signal, on_tick, SA_RESTART);
    OK(setitimer(which, &timer, NULL));
    while (ticks[signal] < 3) {
        for (volatile unsigned i = 0; i < 100000; i++) {}
        OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used));
    }
    OK(getitimer(which, &now));
    OK(setitimer(which, &off, &old));
    int count = ticks[signal];
    printf("signal %d: %d ticks, left %ld us of %ld us, %ld.%09ld s used\n", signal, count, now.it_value.tv_usec,
           now.it_interval.tv_usec, used.tv_sec, used.tv_nsec);
    CHECK(old.it_interval.tv_usec >= 5000 && old.it_interval.tv_usec < 10000);
    for (volatile unsigned i = 0; i < 3000000; i++) {}
    OK(getitimer(which, &now));
    CHECK(ticks[signal] == count && now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
    // Asleep no time is used.
    timer.it_value.tv_usec = 900000;
    OK(setitimer(which, &timer, NULL));
    OK(nanosleep(&(struct timespec){0, 20000000}, NULL));
    OK(setitimer(which, &off, &old));
    printf("after a sleep %ld.%06ld s left\n", old.it_value.tv_sec, old.it_value.tv_usec);
    CHECK(ticks[signal] == count);
}

int main(void) {
    runs(ITIMER_VIRTUAL, SIGVTALRM);
    runs(ITIMER_PROF, SIGPROF);
    return 0;
}

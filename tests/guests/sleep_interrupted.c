// nanosleep(2) and clock_nanosleep(2) that a signal interrupts: EINTR and what is left, also under SA_RESTART.
#include "guest.h"

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

int main(void) {
    handle(SIGALRM, on_tick, SA_RESTART);
    struct timespec span = {30, 0}, left = {0};
    tick_every(5, 5);
    // A tick at the very beginning leaves all of the time, and the timer's slack.
    FAILS(EINTR, nanosleep(&span, &left));
    printf("left %ld.%09ld\n", left.tv_sec, left.tv_nsec);
    CHECK(left.tv_sec >= 20 && left.tv_sec <= 30);
    left = (struct timespec){0};
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &span, &left) == EINTR);
    printf("left %ld.%09ld\n", left.tv_sec, left.tv_nsec);
    CHECK(left.tv_sec >= 20 && left.tv_sec <= 30);
    struct timespec until;
    OK(clock_gettime(CLOCK_REALTIME, &until));
    until.tv_sec += 30;
    left = (struct timespec){77, 77};
    CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, &left) == EINTR);
    CHECK(left.tv_sec == 77);
    tick_every(0, 0);
    CHECK(ticks >= 3);
    printf("slept on for %u s\n", sleep(0));
    return 0;
}

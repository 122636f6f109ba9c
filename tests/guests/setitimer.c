// setitimer(2), getitimer(2): ticks counted by a handler while the program pauses; what is left; disarmed.
#include "guest.h"

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

int main(void) {
    handle(SIGALRM, on_tick, 0);
    tick_every(3, 2);
    while (ticks < 4) pause();
    struct itimerval left, off = {0};
    OK(getitimer(ITIMER_REAL, &left));
    printf("%d ticks, next in %ld us, every %ld us\n", (int)ticks, left.it_value.tv_usec, left.it_interval.tv_usec);
    CHECK(left.it_interval.tv_usec == 2000);
    OK(setitimer(ITIMER_REAL, &off, &left));
    OK(getitimer(ITIMER_REAL, &left));
    CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0);
    int before = ticks;
    usleep(6000);
    CHECK(ticks == before);
    printf("alarm in %u s\n", alarm(100));
    unsigned rest = alarm(0);
    printf("alarm cancelled with %u s left\n", rest);
    CHECK(rest == 100 || rest == 99);
    FAILS(EINVAL, setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {0, -1}}, NULL));
    return 0;
}

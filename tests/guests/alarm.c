// alarm(2) is the same clock as ITIMER_REAL: each replaces the other; sleep(3) is cut short by it and says what is left.
#include "guest.h"

static volatile sig_atomic_t runs;

static void on_alarm(int signal) {
    CHECK(signal == SIGALRM);
    runs++;
}

int main(void) {
    struct itimerval timer = {.it_value = {50, 1}, .it_interval = {3, 0}}, now;
    handle(SIGALRM, on_alarm, 0);
    CHECK(alarm(100) == 0);
    OK(setitimer(ITIMER_REAL, &timer, &now));
    printf("alarm in %ld.%06ld s\n", now.it_value.tv_sec, now.it_value.tv_usec);
    CHECK(now.it_interval.tv_sec == 0 && now.it_value.tv_sec > 60 && now.it_value.tv_sec <= 100);
    unsigned left = alarm(60);
    CHECK(left > 10 && left <= 50);
    OK(getitimer(ITIMER_REAL, &now));
    CHECK(now.it_interval.tv_sec == 0 && now.it_interval.tv_usec == 0 && now.it_value.tv_sec > 20);
    // An alarm in less than a second counts as one in one second.
    tick_every(300, 0);
    left = alarm(0);
    CHECK(left == 1 && runs == 0);
    tick_every(3, 3);
    left = sleep(30);
    tick_every(0, 0);
    printf("%d alarms, %u s not slept\n", (int)runs, left);
    CHECK(runs >= 1 && left >= 29);
    // An alarm that is pending while blocked comes once.
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &set, &old));
    tick_every(1, 1);
    usleep(10000);
    tick_every(0, 0);
    runs = 0;
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
    CHECK(runs == 1);
    return 0;
}

// SIGALRM that waits behind the mask comes once, also when its timer has been stopped or set anew since, which then goes on.
// output: fixed
#include "guest.h"

static volatile sig_atomic_t runs;

static void on_alarm(int signal) {
    CHECK(signal == SIGALRM);
    runs++;
}

static void block(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(how, &set, NULL));
}

int main(void) {
    struct itimerval left;
    handle(SIGALRM, on_alarm, SA_RESTART);
    block(SIG_BLOCK);
    tick_every(1, 1);
    usleep(10000);
    tick_every(0, 0);
    OK(getppid());
    CHECK(runs == 0);
    block(SIG_UNBLOCK);
    printf("stopped: %d\n", (int)runs);
    block(SIG_BLOCK);
    tick_every(1, 0);
    usleep(10000);
    alarm(100000);
    OK(getppid());
    block(SIG_UNBLOCK);
    printf("set anew: %d\n", (int)runs);
    OK(getppid());
    OK(getitimer(ITIMER_REAL, &left));
    CHECK(left.it_value.tv_sec > 50000);
    // One that has not expired leaves nothing.
    block(SIG_BLOCK);
    tick_every(0, 0);
    OK(getppid());
    block(SIG_UNBLOCK);
    OK(getppid());
    printf("stopped before: %d\n", (int)runs);
    return 0;
}

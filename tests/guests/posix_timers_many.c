// Many POSIX timers at once, with one signal: each comes with its own value, none is lost, whatever the order.
#include "guest.h"

#define TIMERS 60

static volatile sig_atomic_t came[TIMERS], total;
static timer_t timers[TIMERS];

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    int which = info->si_value.sival_int;
    CHECK(info->si_code == SI_TIMER && which >= 0 && which < TIMERS);
    CHECK(info->si_timerid == (int)(intptr_t)timers[which]);
    came[which] += 1 + info->si_overrun;
    total++;
}

static void all(int signal) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(signal, &action, NULL));
    total = 0;
    for (int i = 0; i < TIMERS; i++) {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal, .sigev_value.sival_int = i};
        came[i] = 0;
        OK(timer_create(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &event, &timers[i]));
    }
    for (int i = 0; i < TIMERS; i++) {
        struct itimerspec spec = {.it_value = {0, 1000000 + i * 37 % TIMERS * 50000}};
        OK(timer_settime(timers[i], 0, &spec, NULL));
    }
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, signal);
    OK(sigprocmask(SIG_BLOCK, &set, &old));
    while (total < TIMERS) sigsuspend(&old);
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
    for (int i = 0; i < TIMERS; i++) {
        CHECK(came[i] == 1);
        OK(timer_delete(timers[i]));
    }
    printf("signal %d: %d timers, the first is %d\n", signal, (int)total, (int)(intptr_t)timers[0]);
}

int main(void) {
    all(SIGRTMIN + 1);
    all(SIGUSR2);
    return 0;
}

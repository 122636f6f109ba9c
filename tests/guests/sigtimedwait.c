// rt_sigtimedwait(2): signals are taken without a handler: what is pending at once, in its order, a timer's later, EAGAIN at the
// end of the time, EINTR by another signal.
#include "guest.h"

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    siginfo_t info;
    const struct timespec zero = {0, 0}, soon = {0, 2000000}, far = {50, 0};
    FAILS(EAGAIN, sigtimedwait(&set, &info, &zero));
    FAILS(EAGAIN, sigtimedwait(&set, &info, &soon));
    FAILS(EINVAL, sigtimedwait(&set, &info, &(struct timespec){0, 1000000000}));
    for (int i = 0; i < 3; i++) OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 10 + i}));
    OK(kill(getpid(), SIGUSR1));
    CHECK(sigtimedwait(&set, &info, &far) == SIGUSR1 && info.si_code == SI_USER && info.si_pid == getpid());
    for (int i = 0; i < 3; i++) {
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_code == SI_QUEUE && info.si_value.sival_int == 10 + i);
        printf("signal %d value %d pid %d\n", info.si_signo, info.si_value.sival_int, info.si_pid);
    }
    tick_every(3, 0);
    CHECK(sigwaitinfo(&set, &info) == SIGALRM && info.si_code == SI_KERNEL);
    int taken = 0;
    OK(raise(SIGUSR1));
    CHECK(sigwait(&set, &taken) == 0 && taken == SIGUSR1);
    OK(raise(SIGUSR1));
    CHECK(sigtimedwait(&set, NULL, &zero) == SIGUSR1);
    // A handler of a signal that is not asked for ends the wait, also with SA_RESTART.
    handle(SIGALRM, on_tick, SA_RESTART);
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    OK(sigprocmask(SIG_UNBLOCK, &alarm, NULL));
    sigdelset(&set, SIGALRM);
    tick_every(3, 3);
    FAILS(EINTR, sigtimedwait(&set, &info, &far));
    CHECK(ticks > 0);
    return 0;
}

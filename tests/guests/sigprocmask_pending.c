// sigprocmask(2): what was blocked is delivered at the unblocking; standard signals once, real-time ones in order.
#include "guest.h"

static int order[16];
static volatile sig_atomic_t count;

static void on_signal(int signal) { order[count++] = signal; }

int main(void) {
    sigset_t set, old, pending;
    sigfillset(&set);
    OK(sigprocmask(SIG_SETMASK, &set, &old));
    handle(SIGUSR1, on_signal, 0);
    handle(SIGUSR2, on_signal, 0);
    handle(SIGRTMIN, on_signal, 0);
    for (int i = 0; i < 3; i++) {
        OK(raise(SIGUSR2));
        OK(raise(SIGUSR1));
        OK(raise(SIGRTMIN));
    }
    CHECK(count == 0);
    OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN) && !sigismember(&pending, SIGHUP));
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
    CHECK(count == 5);
    for (int i = 0; i < count; i++) printf("%d\n", order[i]);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(raise(SIGUSR1));
    signal(SIGUSR1, SIG_IGN);
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
    CHECK(count == 5);
    FAILS(EINVAL, sigprocmask(99, &set, NULL));
    FAILS(EINVAL, syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4));
    return 0;
}

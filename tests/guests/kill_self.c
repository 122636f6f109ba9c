// kill(2), raise(3), tgkill(2), tkill(2) of every signal to itself: handled before the call returns.
#include "guest.h"

static volatile sig_atomic_t caught;

static void on_signal(int signal) { caught = signal; }

static int took(void) {
    int signal = caught;
    caught = 0;
    return signal;
}

int main(void) {
    for (int signal = 1; signal < 32; signal++)
        if (signal != SIGKILL && signal != SIGSTOP) handle(signal, on_signal, 0);
    for (int signal = 1; signal < 32; signal++) {
        if (signal == SIGKILL || signal == SIGSTOP) continue;
        OK(kill(getpid(), signal));
        CHECK(took() == signal);
        CHECK(raise(signal) == 0);
        CHECK(took() == signal);
        OK(syscall(SYS_tgkill, getpid(), gettid(), signal));
        CHECK(took() == signal);
        OK(syscall(SYS_tkill, gettid(), signal));
        CHECK(took() == signal);
    }
    printf("pid %d: every signal came at once\n", getpid());
    FAILS(EINVAL, syscall(SYS_tgkill, -1, gettid(), SIGHUP));
    return 0;
}

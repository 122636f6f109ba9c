// Several signals at one unblocking, none masked by the others' handlers: each handler runs once before the unblocking returns,
// in an order that is the kernel's affair, but a real-time signal's values keep theirs.
#include "guest.h"

static int entered[16], values[16];
static volatile sig_atomic_t runs;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    entered[runs] = signal;
    values[runs++] = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
}

static void once(const int *signals, int count) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigset_t set, old;
    sigemptyset(&set);
    runs = 0;
    for (int i = 0; i < count; i++) {
        sigaddset(&set, signals[i]);
        OK(sigaction(signals[i], &action, NULL));
    }
    OK(sigprocmask(SIG_BLOCK, &set, &old));
    for (int i = 0; i < count; i++) OK(sigqueue(getpid(), signals[i], (union sigval){.sival_int = i}));
    CHECK(runs == 0);
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
    CHECK(runs == count);
    for (int i = 0; i < count; i++) {
        printf("%d (%d)%c", entered[i], values[i], i + 1 < count ? ' ' : '\n');
        int found = 0;
        for (int k = 0; k < count; k++) found += signals[k] == entered[i] && k == values[i];
        CHECK(found == 1);
    }
}

int main(void) {
    once((int[]){SIGHUP, SIGUSR1, SIGUSR2, SIGTERM}, 4);
    once((int[]){SIGTERM, SIGUSR2, SIGUSR1, SIGHUP}, 4);
    once((int[]){SIGHUP, SIGSEGV, SIGUSR1, SIGFPE}, 4);
    once((int[]){SIGRTMAX, SIGRTMIN, SIGUSR2, SIGSYS}, 4);
    once((int[]){SIGCHLD, SIGURG, SIGWINCH, SIGCONT, SIGIO, SIGPWR}, 6);
    return 0;
}

// Real-time signals are queued: lower numbers first, those of one number in their order, each with its own value.
// output: fixed
#include "guest.h"

static int numbers[64], values[64];
static volatile sig_atomic_t count;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    CHECK(info->si_code == SI_QUEUE && info->si_pid == getpid() && info->si_uid == getuid());
    numbers[count] = signal;
    values[count++] = info->si_value.sival_int;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    sigset_t all, old;
    sigfillset(&all);
    OK(sigprocmask(SIG_SETMASK, &all, &old));
    int first = SIGRTMAX - 3;
    for (int i = 0; i < 4; i++) OK(sigaction(first + i, &action, NULL));
    OK(sigaction(SIGUSR1, &action, NULL));
    for (int i = 0; i < 24; i++) OK(sigqueue(getpid(), first + (i * 7 + 3) % 4, (union sigval){.sival_int = i}));
    // A standard signal is there once, with the value of the first.
    for (int i = 100; i < 103; i++) OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = i}));
    CHECK(count == 0);
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
    CHECK(count == 25);
    // Every handler blocks everything: they ran one behind the other, each when the one before had returned.
    for (int i = 0; i < count; i++) printf("%d: %d\n", numbers[i], values[i]);
    CHECK(numbers[0] == SIGUSR1 && values[0] == 100);
    for (int i = 2; i < count; i++) {
        CHECK(numbers[i] > numbers[i - 1] || (numbers[i] == numbers[i - 1] && values[i] > values[i - 1]));
    }
    return 0;
}

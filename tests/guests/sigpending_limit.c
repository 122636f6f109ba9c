// RLIMIT_SIGPENDING of 0: queueing a real-time signal fails, a standard one that kill(2) sends arrives as ever.
#include "guest.h"

#include <sys/resource.h>

static volatile sig_atomic_t runs;
static volatile int code, value, pid;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context, (void)signal;
    runs++;
    code = info->si_code;
    value = info->si_value.sival_int;
    pid = info->si_pid;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    struct rlimit limit;
    OK(getrlimit(RLIMIT_SIGPENDING, &limit));
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(sigaction(SIGRTMIN, &action, NULL));
    OK(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){0, limit.rlim_max}));
    FAILS(EAGAIN, sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}));
    CHECK(runs == 0);
    OK(kill(getpid(), SIGUSR1));
    printf("kill: code %d pid %d\n", code, pid);
    CHECK(runs == 1 && code == SI_USER && pid == getpid());
    OK(setrlimit(RLIMIT_SIGPENDING, &limit));
    OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7}));
    CHECK(runs == 2 && code == SI_QUEUE && value == 7 && pid == getpid());
    return 0;
}

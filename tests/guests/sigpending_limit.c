// RLIMIT_SIGPENDING of 0: queueing a real-time signal fails, a standard one arrives without saying from whom, at once; kill(2) goes on.
// output: fixed
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
    OK(kill(getpid(), SIGRTMIN));
    printf("kill: code %d\n", code);
    CHECK(runs == 1 && code == SI_USER);
    OK(kill(getpid(), SIGUSR1));
    CHECK(runs == 2 && code == SI_USER && pid == getpid());
    OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1}));
    printf("sigqueue: code %d value %d pid %d\n", code, value, pid);
    CHECK(runs == 3 && code == SI_USER && value == 0 && pid == 0);
    OK(setrlimit(RLIMIT_SIGPENDING, &limit));
    OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7}));
    CHECK(runs == 4 && code == SI_QUEUE && value == 7 && pid == getpid());
    return 0;
}

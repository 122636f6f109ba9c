// rdtsc while SIGSEGV is blocked, then ignored: the counter is read, the mask and the disposition stay as they are.
#include "guest.h"

#include <x86intrin.h>

static volatile sig_atomic_t caught;

static void on_fault(int signal) { caught = signal; }

static void unchanged(int blocked, void (*handler)(int)) {
    sigset_t now;
    struct sigaction action;
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    OK(sigaction(SIGSEGV, NULL, &action));
    CHECK(sigismember(&now, SIGSEGV) == blocked && action.sa_handler == handler);
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigaddset(&set, SIGUSR1);
    handle(SIGSEGV, on_fault, SA_RESTART);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    unsigned long long first = __rdtsc();
    unchanged(1, on_fault);
    OK(raise(SIGSEGV));
    unsigned processor;
    unsigned long long second = __rdtscp(&processor);
    CHECK(second > first && !caught);
    unchanged(1, on_fault);
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
    CHECK(caught == SIGSEGV);
    signal(SIGSEGV, SIG_IGN);
    unsigned long long third = __rdtsc();
    unchanged(0, SIG_IGN);
    OK(raise(SIGSEGV));
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    unsigned long long fourth = __rdtsc();
    unchanged(1, SIG_IGN);
    CHECK(third > second && fourth > third);
    printf("%llu %llu %llu %llu\n", first, second, third, fourth);
    return 0;
}

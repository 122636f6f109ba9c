// Computes and calls, and mixes every signal that comes into what it computes: where a signal was delivered shows in all
// that it prints from then on. Ends by SIGTERM.
#include "guest.h"

#include <poll.h>
#include <x86intrin.h>

static volatile uint64_t state = 1;
static volatile sig_atomic_t ended;
static volatile uint64_t taken;

static void mix(uint64_t value) {
    state = (state ^ value) * 0x9e3779b97f4a7c15u;
    state ^= state >> 29;
}

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    taken++;
    mix((uint64_t)signal << 32 | (uint32_t)info->si_pid);
    if (taken % 3 == 0) mix((uint64_t)getppid());
    if (taken % 7 == 0) mix(__rdtsc());
    if (signal == SIGTERM) ended = 1;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGTERM, &action, NULL));
    OK(sigaction(SIGUSR1, &action, NULL));
    action.sa_flags |= SA_RESTART;
    OK(sigaction(SIGUSR2, &action, NULL));
    sigset_t none, both;
    sigemptyset(&none);
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGUSR2);
    int ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    for (uint64_t round = 0; !ended; round++) {
        for (uint64_t steps = state % 40000; steps; steps--) mix(steps);
        struct timespec span = {0, (long)(state % 300000)};
        struct pollfd entry = {.fd = ends[0], .events = POLLIN};
        char byte;
        switch (round % 6) {
        case 0: mix((uint64_t)nanosleep(&span, &span) + (uint64_t)span.tv_nsec); break;
        case 1: mix((uint64_t)poll(&entry, 1, 1)); break;
        case 2: mix((uint64_t)read(ends[0], &byte, 1)); break;
        case 3: mix((uint64_t)ppoll(&entry, 1, &span, &none)); break;
        case 4:
            OK(sigprocmask(SIG_BLOCK, &both, NULL));
            for (uint64_t steps = state % 10000; steps; steps--) mix(steps);
            mix((uint64_t)ppoll(&entry, 1, &span, &none));
            OK(sigprocmask(SIG_UNBLOCK, &both, NULL));
            break;
        case 5: mix((uint64_t)kill(getpid(), SIGUSR2)); break;
        }
        dprintf(1, "%lu %lu %016lx\n", round, taken, state);
    }
    dprintf(1, "end\n");
    return 0;
}

// rdtsc and rdtscp in tight loops, in a handler and between calls: it never goes back, and grows with the clock.
#include "guest.h"

#include <x86intrin.h>

static volatile uint64_t in_handler;

static void on_signal(int signal) {
    (void)signal;
    in_handler = __rdtsc();
}

int main(void) {
    uint64_t first = __rdtsc(), last = first, sum = 0;
    unsigned processor;
    struct timespec t;
    handle(SIGUSR1, on_signal, 0);
    for (int i = 0; i < 1500; i++) {
        uint64_t now = i % 3 == 0 ? __rdtscp(&processor) : __rdtsc();
        CHECK(now >= last);
        sum = sum * 31 + now - last;
        last = now;
        if (i % 100 == 0) {
            OK(raise(SIGUSR1));
            CHECK(in_handler >= last);
            last = in_handler;
            OK(clock_gettime(CLOCK_MONOTONIC, &t));
        }
    }
    printf("%lu cycles, sum %lx, clock %ld.%09ld\n", last - first, sum, t.tv_sec, t.tv_nsec);
    OK(nanosleep(&(struct timespec){0, 2000000}, NULL));
    CHECK(__rdtsc() > last + 1000);
    return 0;
}

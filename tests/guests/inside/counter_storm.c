// Signals at every moment of a program that reads the time-stamp counter and little else, as its handler does: none is lost, none comes in the
// midst of an answer, and the counter never goes back.
// fast: 2000
#include "site.h"

#include <x86intrin.h>

static volatile sig_atomic_t ticks;
static uint64_t in_handler, sum;

// The same sites in the handler and under it.
static __attribute__((noinline)) uint64_t counter(void) { return __rdtsc(); }
static __attribute__((noinline)) uint64_t counter_and_processor(void) {
    unsigned processor;
    return __rdtscp(&processor);
}

static void reads(int signal) {
    (void)signal;
    uint64_t before = counter(), after = counter_and_processor();
    CHECK(before >= in_handler && after >= before);
    in_handler = after;
    sum = sum * 31 + after;
    ticks++;
}

static void every(long microseconds) {
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    OK(setitimer(ITIMER_REAL, &timer, NULL));
}

int main(void) {
    handle(SIGALRM, reads, SA_RESTART);
    for (int calls = 0; calls < 2; calls++) {
        int begun = ticks;
        uint64_t last = 0, start = counter();
        every(1000);
        for (int i = 0; i < 3000 || ticks < begun + 5; i++) {
            uint64_t seen = in_handler, now = i % 3 ? counter() : counter_and_processor();
            CHECK(now >= last && now >= seen && now >= start);
            last = now;
            sum = sum * 31 + now;
            if (calls && i % 50 == 0) CHECK(CALL(getppid) == getppid());
            // It may be patched by now, and the handler runs between two reads of one site.
            if (i % 1000 == 0) usleep(4000);
        }
        every(0);
        printf("calls %d: sum %lx\n", calls, sum);
    }
    // Nothing else at all: there is no call to deliver a signal at.
    for (int times = 0; times < 3; times++) {
        int begun = ticks;
        uint64_t last = 0, seen;
        OK(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 2000}}, NULL));
        for (; ticks == begun; last = seen) CHECK((seen = counter()) >= last);
        CHECK(counter() >= in_handler);
        printf("alone: last %lx\n", last);
    }
    // Between an answer and a signal there is nothing but the program's own code.
    for (int times = 0; times < 3; times++) {
        int begun = ticks;
        for (int i = 0; i < 100; i++) sum = sum * 31 + counter();
        OK(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 2000}}, NULL));
        uint64_t computed = counter();
        while (ticks == begun) computed = computed * 6364136223846793005 + 1442695040888963407;
        printf("computed %lx %lx\n", computed, sum);
    }
    return 0;
}

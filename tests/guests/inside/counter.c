// The time-stamp counter, read a hundred thousand times: by sites that become hot and by some that do not, with calls between. It never goes
// back, whoever answers, it grows as evenly as the clock, and all else stays as it was.
// fast: 90000
#include "site.h"

#include <x86intrin.h>

static uint64_t last, sum;
static unsigned processor, processors;

static void seen(uint64_t value) {
    CHECK(value >= last);
    sum = sum * 31 + value - last;
    last = value;
}

static __attribute__((noinline)) void hot(void) { seen(__rdtsc()); }

static __attribute__((noinline)) void hot_with_processor(void) {
    seen(__rdtscp(&processor));
    if (processor != processors) printf("processor %u\n", processors = processor);
}

// The halves as they are.
static __attribute__((noinline)) void hot_in_halves(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc\n\tmov %%eax, %0\n\tmov %%edx, %1" : "=m"(low), "=m"(high) : : "rax", "rdx");
    seen((uint64_t)high << 32 | low);
}

// Behind it stands what must not be moved: it traps each time.
static __attribute__((noinline)) void beside_a_jump(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc\n\tjmp 1f\n1:" : "=a"(low), "=d"(high));
    seen((uint64_t)high << 32 | low);
}

static __attribute__((noinline)) void cold(void) { seen(__rdtsc()); }

static uint64_t now(void) {
    struct timespec t;
    OK(clock_gettime(CLOCK_MONOTONIC, &t));
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

// Counter and clock at about the same time: the closest of some.
static void together(uint64_t *counter, uint64_t *clock) {
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        uint64_t before = now();
        hot();
        uint64_t took = now() - before;
        if (took >= best) continue;
        best = took;
        *counter = last;
        *clock = before + took / 2;
    }
}

int main(void) {
    uint64_t counter[3], clock[3];
    warm_up();
    together(&counter[0], &clock[0]);
    for (int i = 0; i < 100000; i++) {
        switch (i % 4) {
        case 0: hot(); break;
        case 1: hot_with_processor(); break;
        case 2: hot_in_halves(); break;
        default: hot(); hot(); i++;
        }
        if (i % 4096 == 0) cold();
        if (i % 4096 == 1) beside_a_jump();
        if (i % 512 == 2) CHECK(CALL(getppid) == getppid());
        // Time enough, natively as well.
        if (i == 50000) {
            OK(usleep(30000));
            together(&counter[1], &clock[1]);
            OK(usleep(30000));
        }
    }
    together(&counter[2], &clock[2]);
    double first = (double)(counter[1] - counter[0]) / (double)(clock[1] - clock[0]);
    double second = (double)(counter[2] - counter[1]) / (double)(clock[2] - clock[1]);
    printf("%f and %f ticks in a nanosecond, sum %lx, last %lu\n", first, second, sum, last);
    CHECK(first > 0.1 && first < 20);
    CHECK(second > first * 0.98 && second < first * 1.02);
    return 0;
}

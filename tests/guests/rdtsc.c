// The rdtsc instruction: it grows, and every value is one that a replay has to reproduce.
#include "guest.h"

#include <x86intrin.h>

int main(void) {
    uint64_t values[40];
    for (int i = 0; i < 40; i++) values[i] = __rdtsc();
    for (int i = 1; i < 40; i++) CHECK(values[i] > values[i - 1]);
    for (int i = 0; i < 40; i += 8) printf("%lu\n", values[i]);
    unsigned long high = ~0ul, low = ~0ul;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    printf("registers %lx %lx\n", high, low);
    CHECK(high >> 32 == 0 && low >> 32 == 0);
    return 0;
}

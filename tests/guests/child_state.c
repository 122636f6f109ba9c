// What a child has of its own: the time-stamp counter, cpuid, memory that was shared with nobody, working clocks and calls.
#include "guest.h"

#include <cpuid.h>
#include <sys/wait.h>
#include <x86intrin.h>

// A site that the parent has used often: in the child the processor answers.
static __attribute__((noinline)) unsigned long long often(void) { return __rdtsc(); }

int main(void) {
    int status;
    unsigned a, b, c, d;
    unsigned long long before = __rdtsc();
    CHECK(__get_cpuid(0, &a, &b, &c, &d));
    for (int i = 0; i < 3000; i++) CHECK(often() >= before);
    pid_t child = OK(fork());
    if (child == 0) {
        struct timespec now;
        for (int i = 0; i < 100; i++) {
            unsigned long long then = __rdtsc();
            if (then < before && i == 0) before = then;
            if (!__get_cpuid(0, &a, &b, &c, &d)) _exit(2);
            if (often() < then) _exit(5);
            if (clock_gettime(CLOCK_MONOTONIC, &now)) _exit(3);
        }
        char *memory = malloc(1 << 22);
        memset(memory, 1, 1 << 22);
        int file = open("from_child", O_CREAT | O_RDWR | O_TRUNC, 0600);
        if (write(file, memory, 1 << 22) != 1 << 22 || close(file)) _exit(4);
        _exit(0);
    }
    CHECK(wait(&status) == child && status == 0);
    struct stat state;
    OK(stat("from_child", &state));
    CHECK(state.st_size == 1 << 22);
    printf("%llu\n", __rdtsc() - before);
    return 0;
}

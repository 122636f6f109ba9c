// rdtsc in a handler of SIGSEGV, where SIGSEGV is blocked: a fault's handler runs once, and the program goes on.
#include "guest.h"

#include <setjmp.h>
#include <x86intrin.h>

static sigjmp_buf back;
static volatile unsigned long long counter;

static void on_fault(int signal) {
    (void)signal;
    counter = __rdtsc();
    siglongjmp(back, 1);
}

int main(void) {
    handle(SIGSEGV, on_fault, 0);
    for (int round = 0; round < 3; round++) {
        if (sigsetjmp(back, 1) == 0) {
            *(volatile char *)16 = 1;
            CHECK(0);
        }
        printf("fault %d at %llu\n", round, counter);
    }
    CHECK(__rdtsc() > counter);
    return 0;
}

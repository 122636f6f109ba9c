// cflags: -static-pie -fPIE
// A static program that relocates itself.
#include "guest.h"

#include <sys/auxv.h>

static int number = 5;
static int *const pointer = &number;

int main(void) {
    printf("main at %p, base %lx, program headers %lx\n", (void *)(uintptr_t)main, getauxval(AT_BASE),
           getauxval(AT_PHDR));
    CHECK(*pointer == 5 && getauxval(AT_BASE) == 0);
    struct timespec now;
    OK(clock_gettime(CLOCK_REALTIME, &now));
    printf("%ld.%09ld\n", now.tv_sec, now.tv_nsec);
    return 0;
}

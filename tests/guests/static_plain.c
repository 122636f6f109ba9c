// cflags: -static
// A static program: no dynamic loader, a fixed address.
#include "guest.h"

#include <sys/auxv.h>

int main(int argc, char **argv) {
    CHECK(argc == 1 && argv[0] && !argv[1]);
    printf("main at %p, base %lx, entry %lx\n", (void *)(uintptr_t)main, getauxval(AT_BASE), getauxval(AT_ENTRY));
    CHECK(getauxval(AT_BASE) == 0);
    printf("pid %d time %ld\n", getpid(), time(NULL));
    return 0;
}

// exit: 5
// exit(3): atexit(3) functions run in reverse order, then the buffers are written, then the status counts.
// output: fixed
#include "guest.h"

static void first(void) { printf("registered first, runs last\n"); }

static void second(void) {
    printf("registered second\n");
    CHECK(atexit(first) == 0);
}

static void with_status(int status, void *argument) { printf("status %d, argument %s\n", status, (char *)argument); }

__attribute__((destructor)) static void destroyed(void) { printf("destructor\n"); }

int main(void) {
    CHECK(atexit(first) == 0 && atexit(second) == 0 && on_exit(with_status, "given") == 0);
    printf("main ends\n");
    exit(0x105);
}

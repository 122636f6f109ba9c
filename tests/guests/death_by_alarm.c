// signal: 14
// A timer without a handler ends a program that waits.
#include "guest.h"

int main(void) {
    dprintf(1, "pid %d waits\n", getpid());
    tick_every(10, 0);
    char c;
    int ends[2];
    OK(pipe(ends));
    CHECK(read(ends[0], &c, 1) == 1);
    return 1;
}

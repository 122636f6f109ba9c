// exit: 255
// _exit(2): no handler runs and no buffer is written; only the status' low byte counts.
// output: fixed
#include "guest.h"

static void never(void) { dprintf(1, "an atexit handler ran\n"); }

int main(void) {
    CHECK(atexit(never) == 0);
    dprintf(1, "this is written\n");
    printf("this stays in the buffer");
    _exit(-1);
}

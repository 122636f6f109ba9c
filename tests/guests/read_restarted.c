// A blocking read(2) under SA_RESTART: the handler runs, the read goes on and gets what the handler wrote.
#include "guest.h"

static int ends[2];
static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    if (++ticks == 3) CHECK(write(ends[1], "written by the handler", 22) == 22);
}

int main(void) {
    char text[32] = "";
    OK(pipe(ends));
    handle(SIGALRM, on_tick, SA_RESTART);
    tick_every(4, 4);
    CHECK(read(ends[0], text, sizeof text) == 22);
    tick_every(0, 0);
    printf("%s, after %d ticks\n", text, (int)ticks);
    CHECK(ticks >= 3);
    return 0;
}

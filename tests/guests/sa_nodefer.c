// SA_NODEFER: a handler that its own signal interrupts; without the flag the second one waits until it returns.
#include "guest.h"

static volatile sig_atomic_t depth, deepest, runs;

static void on_signal(int signal) {
    runs++;
    if (++depth > deepest) deepest = depth;
    dprintf(1, "signal %d, depth %d, run %d\n", signal, (int)depth, (int)runs);
    if (runs < 4) OK(raise(signal));
    depth--;
}

int main(void) {
    handle(SIGUSR1, on_signal, SA_NODEFER);
    OK(raise(SIGUSR1));
    CHECK(deepest == 4 && runs == 4);
    deepest = runs = 0;
    handle(SIGUSR1, on_signal, 0);
    OK(raise(SIGUSR1));
    CHECK(deepest == 1 && runs == 4);
    return 0;
}

// SA_RESETHAND: the disposition is the default as soon as the handler runs; the handler may set itself again; the flag does not
// mean SA_NODEFER; ignored meanwhile, the second signal is lost.
// output: fixed
#include "guest.h"

static volatile sig_atomic_t runs, depth;

static void on_signal(int signal) {
    struct sigaction now;
    OK(sigaction(signal, NULL, &now));
    runs++;
    depth++;
    dprintf(1, "run %d, depth %d, default %d, flags %x\n", (int)runs, (int)depth, now.sa_handler == SIG_DFL,
            (unsigned)now.sa_flags & ~0x04000000u);
    CHECK(now.sa_handler == SIG_DFL);
    if (runs < 4) {
        handle(signal, on_signal, SA_RESETHAND);
        OK(raise(signal));
    } else {
        handle(signal, SIG_IGN, 0);
        OK(raise(signal));
    }
    depth--;
}

int main(void) {
    struct sigaction now;
    handle(SIGUSR1, on_signal, SA_RESETHAND);
    OK(raise(SIGUSR1));
    CHECK(runs == 4 && depth == 0);
    OK(sigaction(SIGUSR1, NULL, &now));
    CHECK(now.sa_handler == SIG_IGN);
    handle(SIGUSR2, on_signal, SA_RESETHAND | SA_NODEFER);
    runs = 0;
    OK(raise(SIGUSR2));
    CHECK(runs == 4 && depth == 0);
    return 0;
}

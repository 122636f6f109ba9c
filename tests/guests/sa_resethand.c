// signal: 12
// SA_RESETHAND: the first signal runs the handler, the second one ends the program.
#include "guest.h"

static void on_signal(int signal) {
    struct sigaction now;
    OK(sigaction(signal, NULL, &now));
    dprintf(1, "handler of %d, disposition is %s\n", signal, now.sa_handler == SIG_DFL ? "default" : "kept");
    CHECK(now.sa_handler == SIG_DFL);
}

int main(void) {
    handle(SIGUSR2, on_signal, SA_RESETHAND);
    OK(raise(SIGUSR2));
    dprintf(1, "survived the first\n");
    OK(raise(SIGUSR2));
    dprintf(1, "survived the second\n");
    return 1;
}

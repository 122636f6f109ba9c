// Handlers within handlers: another signal interrupts a handler unless sa_mask holds it back until the return.
#include "guest.h"

static char order[16];
static volatile sig_atomic_t length;

static void note(char what) { order[length++] = what; }

static void on_inner(int signal) {
    note(signal == SIGUSR2 ? '2' : 'h');
}

static void on_outer(int signal) {
    (void)signal;
    note('(');
    OK(raise(SIGUSR2));
    OK(raise(SIGHUP));
    note(')');
}

int main(void) {
    struct sigaction outer = {.sa_handler = on_outer};
    sigaddset(&outer.sa_mask, SIGHUP);
    OK(sigaction(SIGUSR1, &outer, NULL));
    handle(SIGUSR2, on_inner, 0);
    handle(SIGHUP, on_inner, 0);
    OK(raise(SIGUSR1));
    note(0);
    printf("%s\n", order);
    CHECK(strcmp(order, "(2)h") == 0);
    return 0;
}

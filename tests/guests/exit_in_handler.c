// exit: 17
// exit(3) in a handler within a handler: the functions for the end run there, raise another signal, and the buffers are written.
#include "guest.h"

static volatile sig_atomic_t late;

static void on_late(int signal) {
    (void)signal;
    late++;
}

static void at_end(void) {
    OK(raise(SIGTERM));
    printf("the end, %d late\n", (int)late);
}

static void on_signal(int signal) {
    if (signal == SIGUSR1) OK(raise(SIGUSR2));
    printf("in %d\n", signal);
    exit(17);
}

int main(void) {
    OK(atexit(at_end));
    handle(SIGTERM, on_late, 0);
    handle(SIGUSR1, on_signal, 0);
    handle(SIGUSR2, on_signal, 0);
    printf("from main\n");
    raise(SIGUSR1);
    return 1;
}

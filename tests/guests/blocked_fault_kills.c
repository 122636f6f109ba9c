// signal: 11
// A fault whose signal is blocked: no handler runs, the program ends; what was pending of that signal changes nothing.
#include "guest.h"

static void on_fault(int signal) {
    (void)signal;
    _exit(3);
}

int main(void) {
    sigset_t set;
    handle(SIGSEGV, on_fault, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(raise(SIGSEGV));
    OK(sigpending(&set));
    CHECK(sigismember(&set, SIGSEGV));
    printf("about to fall\n");
    fflush(stdout);
    *(volatile int *)16 = 1;
    return 0;
}

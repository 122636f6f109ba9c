// signal: 31
// Default actions: those that are ignored do nothing, SIGCONT does nothing to a program that runs, SIGSYS ends it.
#include "guest.h"

int main(void) {
    OK(raise(SIGCHLD));
    OK(raise(SIGURG));
    OK(raise(SIGWINCH));
    OK(raise(SIGCONT));
    OK(kill(getpid(), 0));
    printf("still there\n");
    fflush(stdout);
    // A handler that is taken back, and a signal that was ignored in between.
    handle(SIGSYS, SIG_IGN, 0);
    OK(raise(SIGSYS));
    handle(SIGSYS, SIG_DFL, 0);
    raise(SIGSYS);
    CHECK(!"here");
}

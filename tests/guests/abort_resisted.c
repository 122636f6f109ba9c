// signal: 6
// abort(3) against a handler that leaves by siglongjmp(3), then against a blocked and an ignored SIGABRT: at last it ends the
// program.
#include "guest.h"

#include <setjmp.h>

static sigjmp_buf back;

static void on_abort(int signal) {
    dprintf(1, "signal %d\n", signal);
    siglongjmp(back, 1);
}

int main(void) {
    handle(SIGABRT, on_abort, 0);
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(back, 1) == 0) abort();
        dprintf(1, "out %d\n", i);
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGABRT);
    handle(SIGABRT, SIG_IGN, 0);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    abort();
}

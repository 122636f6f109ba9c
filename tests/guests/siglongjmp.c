// siglongjmp(3) out of a handler, many times: the mask comes back, nothing piles up.
#include "guest.h"

#include <setjmp.h>

static sigjmp_buf point;
static volatile int jumps;

static void on_signal(int signal) { siglongjmp(point, signal); }

int main(void) {
    handle(SIGUSR1, on_signal, 0);
    handle(SIGALRM, on_signal, 0);
    int signal = sigsetjmp(point, 1);
    CHECK(signal == 0 || signal == SIGUSR1);
    if (signal) jumps++;
    if (jumps < 20) {
        raise(SIGUSR1);
        CHECK(0);
    }
    sigset_t now;
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(!sigismember(&now, SIGUSR1));
    printf("%d jumps\n", jumps);
    if (sigsetjmp(point, 1) == 0) {
        tick_every(4, 4);
        for (;;) pause();
    }
    tick_every(0, 0);
    printf("out of an endless loop\n");
    return 0;
}

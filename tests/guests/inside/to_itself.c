// A signal that the program sends itself is delivered before the call that sends it returns, and before any call made in process.
// output: fixed
// fast: 20
#include "site.h"

static volatile sig_atomic_t sequence, handled_at;

static void handled(int signal) {
    (void)signal;
    CHECK(numbered_getppid(0, 0, 0) == getppid());
    handled_at = ++sequence;
}

int main(void) {
    handle(SIGUSR1, handled, 0);
    handle(SIGUSR2, handled, SA_NODEFER);
    pid_t self = getpid();
    int ends[2];
    OK(pipe(ends));
    warm_up();
    for (int round = 0; round < 6; round++) {
        int signal = round & 1 ? SIGUSR1 : SIGUSR2;
        char byte;
        int now = ++sequence;
        OK(kill(self, signal));
        CHECK(handled_at == now + 1);
        now = ++sequence;
        CHECK(CALL(tgkill, self, self, signal) == 0);
        CHECK(handled_at == now + 1);
        now = ++sequence;
        CHECK(CALL(kill, self, signal) == 0);
        CHECK(handled_at == now + 1 && CALL(getpid) == self);
        now = ++sequence;
        CHECK(raise(signal) == 0);
        CHECK(handled_at == now + 1);
        // Blocked and let through: by the call that unblocks it.
        sigset_t set, before;
        sigemptyset(&set);
        sigaddset(&set, signal);
        OK(sigprocmask(SIG_BLOCK, &set, &before));
        OK(kill(self, signal));
        now = ++sequence;
        CHECK(CALL(write, ends[1], "x", 1) == 1);
        CHECK(CALL(read, ends[0], &byte, 1) == 1);
        CHECK(handled_at < now);
        OK(sigprocmask(SIG_SETMASK, &before, NULL));
        CHECK(handled_at == now + 1);
        // The kernel's own: a pipe that nobody reads.
        int broken[2];
        OK(pipe(broken));
        OK(close(broken[0]));
        struct sigaction action = {.sa_handler = handled}, old;
        OK(sigaction(SIGPIPE, &action, &old));
        now = ++sequence;
        CHECK(CALL(write, broken[1], "x", 1) == -EPIPE);
        CHECK(handled_at == now + 1);
        OK(sigaction(SIGPIPE, &old, NULL));
        OK(close(broken[1]));
    }
    printf("%d steps\n", sequence);
    return 0;
}

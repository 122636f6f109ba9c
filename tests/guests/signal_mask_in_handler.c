// The mask while a handler runs: what was blocked before, sa_mask and the signal itself; all as before behind it. What came
// meanwhile waits for the return.
// output: fixed
#include "guest.h"

static volatile sig_atomic_t second_ran, first_runs;

static void print_mask(const char *where) {
    sigset_t now;
    OK(sigprocmask(SIG_SETMASK, NULL, &now));
    printf("%s:", where);
    for (int signal = 1; signal <= 64; signal++) {
        if (sigismember(&now, signal) == 1) printf(" %d", signal);
    }
    printf("\n");
}

static void on_second(int signal) {
    (void)signal;
    second_ran++;
    print_mask("second handler");
}

static void on_first(int signal) {
    print_mask("first handler");
    if (first_runs++ > 0) return;
    sigset_t pending;
    OK(raise(SIGUSR2));
    OK(raise(signal));
    CHECK(second_ran == 0);
    OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR2) && sigismember(&pending, signal) && !sigismember(&pending, SIGTERM));
    // What a handler changes of the mask is gone when it returns.
    sigset_t more;
    sigemptyset(&more);
    sigaddset(&more, SIGQUIT);
    OK(sigprocmask(SIG_BLOCK, &more, NULL));
    print_mask("changed");
}

int main(void) {
    setbuf(stdout, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGRTMAX);
    OK(sigprocmask(SIG_SETMASK, &set, NULL));
    struct sigaction first = {.sa_handler = on_first}, second = {.sa_handler = on_second};
    sigaddset(&first.sa_mask, SIGUSR2);
    sigaddset(&first.sa_mask, SIGHUP);
    sigaddset(&first.sa_mask, SIGKILL);
    sigaddset(&second.sa_mask, SIGTERM);
    OK(sigaction(SIGUSR1, &first, NULL));
    OK(sigaction(SIGUSR2, &second, NULL));
    print_mask("before");
    OK(raise(SIGUSR1));
    print_mask("behind");
    CHECK(second_ran == 1 && first_runs == 2);
    return 0;
}

// sigsuspend(2): a pending signal comes in at once, a timer's later; the mask of before is back afterwards.
#include "guest.h"

static volatile sig_atomic_t caught;

static void on_signal(int signal) {
    caught = signal;
    sigset_t now;
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    dprintf(1, "in the handler of %d: USR1 %s, ALRM %s\n", signal, sigismember(&now, SIGUSR1) ? "blocked" : "open",
            sigismember(&now, SIGALRM) ? "blocked" : "open");
}

int main(void) {
    sigset_t both, nothing, now;
    sigemptyset(&nothing);
    sigemptyset(&both);
    sigaddset(&both, SIGUSR1);
    sigaddset(&both, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &both, NULL));
    handle(SIGUSR1, on_signal, 0);
    handle(SIGALRM, on_signal, 0);
    OK(kill(getpid(), SIGUSR1));
    CHECK(!caught);
    FAILS(EINTR, sigsuspend(&nothing));
    CHECK(caught == SIGUSR1);
    tick_every(5, 0);
    FAILS(EINTR, sigsuspend(&nothing));
    CHECK(caught == SIGALRM);
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGALRM));
    return 0;
}

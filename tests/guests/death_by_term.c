// signal: 15
// SIGTERM without a handler, pending while blocked, kills at the unblocking.
#include "guest.h"

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(kill(getpid(), SIGTERM));
    printf("%d still lives\n", getpid());
    fflush(stdout);
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
    dprintf(1, "not reached\n");
    return 1;
}

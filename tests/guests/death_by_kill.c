// signal: 9
// SIGKILL sent to itself: neither blocked nor handled.
#include "guest.h"

int main(void) {
    sigset_t set;
    sigfillset(&set);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    dprintf(1, "pid %d\n", getpid());
    OK(kill(getpid(), SIGKILL));
    dprintf(1, "not reached\n");
    return 1;
}

// signal: 6
// abort(3): SIGABRT is raised again after a handler has returned.
// output: fixed
#include "guest.h"

static void on_abort(int signal) { dprintf(1, "handler of %d returns\n", signal); }

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGABRT);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    handle(SIGABRT, on_abort, 0);
    dprintf(1, "about to abort\n");
    abort();
}

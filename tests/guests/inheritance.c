// What a program inherits: signal dispositions and mask, descriptors, umask, limits, pending signals. A recorder
// must hand it on as it is, nothing of its own added.
// output: fixed
#include "guest.h"

#include <sys/resource.h>

int main(void) {
    sigset_t set;
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    for (int signal = 1; signal <= SIGRTMAX; signal++) {
        struct sigaction action;
        if (sigismember(&set, signal) == 1) printf("signal %d is blocked\n", signal);
        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            printf("signal %d is ignored\n", signal);
    }
    OK(sigpending(&set));
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        if (sigismember(&set, signal) == 1) printf("signal %d is pending\n", signal);
    for (int fd = 0; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags >= 0) printf("descriptor %d: flags %o %o\n", fd, (unsigned)flags, (unsigned)fcntl(fd, F_GETFD));
    }
    mode_t mask = umask(0);
    printf("umask %03o, no alarm: %u, nice %d\n", mask, alarm(0), nice(0));
    for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
        struct rlimit limit;
        OK(getrlimit((__rlimit_resource_t)resource, &limit));
        printf("limit %d: %lx %lx\n", resource, limit.rlim_cur, limit.rlim_max);
    }
    return 0;
}

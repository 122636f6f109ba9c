// SIGCHLD with its siginfo; SA_NOCLDWAIT and SIG_IGN leave nobody to wait for; SA_NOCLDSTOP.
#include "guest.h"

#include <sys/wait.h>

static volatile sig_atomic_t count;
static siginfo_t last;

static void handler(int signal, siginfo_t *info, void *context) {
    (void)context;
    CHECK(signal == SIGCHLD);
    last = *info;
    count++;
}

static void dispose(int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    OK(sigaction(SIGCHLD, &action, NULL));
}

int main(void) {
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    OK(sigprocmask(SIG_BLOCK, &blocked, &before));
    dispose(0);
    for (int i = 0; i < 4; i++) {
        pid_t child = OK(fork());
        if (child == 0) {
            if (i % 2) raise(SIGTERM);
            _exit(i);
        }
        int seen = count;
        while (count == seen) sigsuspend(&before);
        CHECK(last.si_pid == child);
        CHECK(i % 2 ? last.si_code == CLD_KILLED && last.si_status == SIGTERM
                    : last.si_code == CLD_EXITED && last.si_status == i);
        int status;
        CHECK(waitpid(child, &status, WNOHANG) == child);
        printf("%d: %#x, code %d\n", child, status, last.si_code);
    }
    // A call that waits is interrupted, or goes on.
    OK(sigprocmask(SIG_SETMASK, &before, NULL));
    for (int i = 0; i < 3; i++) {
        dispose(i == 1 ? SA_RESTART : 0);
        int seen = count;
        pid_t child = OK(fork());
        if (child == 0) _exit(0);
        while (count == seen) usleep(500);
        CHECK(wait(NULL) == child);
    }
    dispose(SA_NOCLDWAIT);
    pid_t child = OK(fork());
    if (child == 0) _exit(1);
    FAILS(ECHILD, waitpid(child, NULL, 0));
    signal(SIGCHLD, SIG_IGN);
    child = OK(fork());
    if (child == 0) _exit(1);
    FAILS(ECHILD, wait(NULL));
    return 0;
}

// A new process never has a number that the server knows otherwise: its own, or that of a child it has not waited for. Who may
// tell the kernel which number comes next (ns_last_pid) asks for just these.
#include "guest.h"

#include <sys/wait.h>

// The next process of the machine gets this number, if it is free and nobody starts one meanwhile.
static void want(pid_t pid) {
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
    if (fd < 0) return;
    dprintf(fd, "%d", pid - 1);
    close(fd);
}

int main(void) {
    pid_t self = getpid(), first = OK(fork());
    if (first == 0) {
        for (;;) pause();
    }
    for (int i = 0; i < 16; i++) {
        int status;
        want(i % 2 ? self : first);
        pid_t child = OK(fork());
        if (child == 0) _exit(getpid() == self);
        CHECK(child != self && child != first);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) <= 1);
    }
    int status;
    OK(kill(first, SIGKILL));
    CHECK(waitpid(first, &status, 0) == first && WTERMSIG(status) == SIGKILL);
    FAILS(ECHILD, wait(NULL));
    return 0;
}

// fork(2) and wait4(2): who is who, the status, what the child used. The child's memory is its own.
#include "guest.h"

#include <sys/resource.h>
#include <sys/wait.h>

static int shared = 1;

int main(void) {
    pid_t self = getpid();
    pid_t child = OK(fork());
    if (child == 0) {
        shared = 2;
        _exit(getppid() == self && getpid() != self ? 7 : 8);
    }
    int status;
    struct rusage usage = {.ru_maxrss = -1};
    CHECK(wait4(child, &status, 0, &usage) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(shared == 1 && usage.ru_maxrss > 0);
    printf("%d ended: %#x, %ld KiB\n", child, status, usage.ru_maxrss);
    FAILS(ECHILD, waitpid(child, &status, 0));

    for (int i = 0; i < 3; i++) {
        child = OK(syscall(SYS_fork));
        if (child == 0) _exit(i);
        CHECK(wait(&status) == child && WEXITSTATUS(status) == i);
    }
    child = OK(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (child == 0) _exit(9);
    CHECK(waitpid(0, &status, 0) == child && WEXITSTATUS(status) == 9);
    // Without SIGCHLD a child is waited for only by who asks for such ones.
    child = OK(syscall(SYS_clone, 0, 0, 0, 0, 0));
    if (child == 0) _exit(10);
    FAILS(ECHILD, waitpid(child, &status, 0));
    CHECK(waitpid(child, &status, __WALL) == child && WEXITSTATUS(status) == 10);
    return 0;
}

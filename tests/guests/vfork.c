// vfork(2): what the child writes before it leaves is there afterwards; _exit, execve, and an execve that fails.
#include "guest.h"

#include <sys/wait.h>

static volatile int written;
static char *big;

int main(void) {
    int status;
    big = malloc(1 << 20);
    memset(big, 1, 1 << 20);
    pid_t child = vfork();
    if (child == 0) {
        written = 42;
        big[777777] = 7;
        _exit(3);
    }
    CHECK(written == 42 && big[777777] == 7 && big[777776] == 1);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);

    char *arguments[] = {"sh", "-c", "exit 12", NULL};
    char *environment[] = {"A=1", NULL};
    child = vfork();
    if (child == 0) {
        written = 43;
        execve("/nonexistent", arguments, environment);
        written = errno;
        execve("/bin/sh", arguments, environment);
        _exit(1);
    }
    CHECK(written == ENOENT);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 12);

    child = vfork();
    if (child == 0) {
        written = 44;
        execve("/nonexistent", arguments, environment);
        written += 100;
        _exit(written - 100);
    }
    CHECK(written == 144);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 44);

    child = vfork();
    if (child == 0) kill(getpid(), SIGKILL);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    printf("the last was %d\n", child);
    return 0;
}

// fork(2), vfork(2), clone(2) of a child, posix_spawn(3), system(3): no child is made, and errno says so.
// refused: clone (system call 56)
// output: fixed
#include "guest.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

int main(void) {
    FAILS(ENOSYS, fork());
    FAILS(ENOSYS, syscall(SYS_fork));
    FAILS(ENOSYS, syscall(SYS_vfork));
    FAILS(ENOSYS, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    char *arguments[] = {"true", NULL};
    pid_t pid;
    CHECK(posix_spawnp(&pid, "true", NULL, NULL, arguments, environ) == ENOSYS);
    CHECK(system("true") == 127 << 8);
    CHECK(popen("true", "r") == NULL);
    FAILS(ECHILD, waitpid(-1, NULL, 0));
    return 0;
}

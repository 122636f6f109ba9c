// clone(2) with flags that fork(2) has not: no process is made, and errno says so. clone3(2) does not exist.
// refused: clone with flag 0x400
// output: fixed
#include "guest.h"

#include <sched.h>
#include <sys/wait.h>

int main(void) {
    FAILS(EINVAL, syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
    FAILS(EINVAL, syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
    FAILS(EINVAL, syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    FAILS(ENOSYS, syscall(SYS_clone3, NULL, 0));
    FAILS(ECHILD, waitpid(-1, NULL, 0));
    return 0;
}

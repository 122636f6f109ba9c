// execve(2): another program in this process is refused, and this one goes on.
// refused: execve (system call 59)
// output: fixed
#include "guest.h"

int main(void) {
    char *arguments[] = {"true", NULL}, *environment[] = {NULL};
    FAILS(ENOSYS, execve("/bin/true", arguments, environment));
    FAILS(ENOSYS, execvp("true", arguments));
    return 0;
}

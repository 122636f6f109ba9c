// exit: 42
// The exit(2) system call of a single thread, instead of exit_group(2).
#include "guest.h"

int main(void) {
    printf("pid %d leaves\n", getpid());
    fflush(stdout);
    syscall(SYS_exit, 42);
    return 1;
}

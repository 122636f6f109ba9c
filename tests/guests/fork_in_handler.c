// fork(2) in a handler, of a signal that comes at any moment; the child leaves the handler too.
#include "guest.h"

#include <sys/wait.h>

static volatile sig_atomic_t forks;

static void handler(int signal) {
    (void)signal;
    int error = errno;
    pid_t child = fork();
    if (child == 0) _exit(forks);
    int status;
    if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != forks) _exit(CHECK_FAILED);
    forks++;
    errno = error;
}

int main(void) {
    handle(SIGALRM, handler, SA_RESTART);
    tick_every(2, 2);
    char byte;
    int file = file_with("file", "x"), calls = 0;
    while (forks < 10) {
        CHECK(pread(file, &byte, 1, 0) == 1);
        calls++;
    }
    tick_every(0, 0);
    printf("%d calls\n", calls);
    return 0;
}

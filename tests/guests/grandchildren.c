// A double fork: the grandchild goes on when its parent has ended, and is nobody's to wait for. A child with children.
// output: fixed
#include "guest.h"

#include <sys/wait.h>

int main(void) {
    int ends[2], status;
    char text[32];
    OK(pipe(ends));
    pid_t child = OK(fork());
    if (child == 0) {
        if (fork() == 0) {
            setsid();
            usleep(20000);
            if (write(ends[1], "orphan\n", 7) != 7) _exit(1);
            _exit(0);
        }
        _exit(0);
    }
    OK(close(ends[1]));
    CHECK(wait(&status) == child && status == 0);
    FAILS(ECHILD, wait(NULL));
    CHECK(read(ends[0], text, sizeof text) == 7);
    printf("%.7s", text);
    CHECK(read(ends[0], text, sizeof text) == 0);

    child = OK(fork());
    if (child == 0) {
        int sum = 0;
        for (int i = 0; i < 5; i++) {
            if (fork() == 0) _exit(i);
            wait(&status);
            sum += WEXITSTATUS(status);
        }
        _exit(sum);
    }
    CHECK(wait(&status) == child && WEXITSTATUS(status) == 10);
    return 0;
}

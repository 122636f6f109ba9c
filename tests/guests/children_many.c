// A hundred children one after the other, then twenty at once; the parent makes quick calls meanwhile.
#include "guest.h"

#include <sys/wait.h>

int main(void) {
    int status, sum = 0, file = file_with("file", "0123456789");
    for (int i = 0; i < 100; i++) {
        pid_t child = OK(fork());
        if (child == 0) {
            char byte;
            _exit(pread(file, &byte, 1, i % 10) == 1 ? byte - '0' : 99);
        }
        char byte;
        for (int call = 0; call < 20; call++) CHECK(pread(file, &byte, 1, call % 10) == 1);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WEXITSTATUS(status) == i % 10);
        sum += WEXITSTATUS(status);
    }
    CHECK(sum == 450);
    pid_t children[20];
    for (int i = 0; i < 20; i++) {
        children[i] = OK(fork());
        if (children[i] == 0) _exit(i);
    }
    for (int i = 0; i < 20; i++) {
        pid_t child = OK(wait(&status));
        CHECK(children[WEXITSTATUS(status)] == child);
        printf("%d: %d\n", child, WEXITSTATUS(status));
    }
    FAILS(ECHILD, wait(NULL));
    return 0;
}

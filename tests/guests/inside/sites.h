// Calls through sites of the program's own and of libc's, in every kind of program.
#include "site.h"

#include <poll.h>

int main(void) {
    int ends[2];
    OK(pipe(ends));
    long parent = getppid();
    for (int round = 0; round < 5; round++) {
        char text[8] = "round n", back[8] = "";
        text[6] = (char)('0' + round);
        CHECK(numbered_write(ends[1], (long)text, 8) == 8);
        CHECK(CALL(read, ends[0], back, 8) == 8);
        CHECK(!strcmp(text, back));
        CHECK(CALL(write, ends[1], text, 8) == 8);
        struct pollfd ready = {ends[0], POLLIN, 0};
        CHECK(poll(&ready, 1, -1) == 1 && ready.revents == POLLIN);
        CHECK(numbered_read(ends[0], (long)back, 8) == 8);
        CHECK(!strcmp(text, back));
        CHECK(write(ends[1], text, 8) == 8);
        CHECK(read(ends[0], back, sizeof back) == 8);
        CHECK(numbered_getppid(0, 0, 0) == parent && CALL(getppid) == parent && getppid() == parent);
        struct timespec before, after;
        CHECK(CALL(clock_gettime, CLOCK_MONOTONIC, &before) == 0);
        OK(clock_gettime(CLOCK_MONOTONIC, &after));
        CHECK(after.tv_sec > before.tv_sec || (after.tv_sec == before.tv_sec && after.tv_nsec >= before.tv_nsec));
        OK(fcntl(ends[0], F_SETFL, O_NONBLOCK));
        CHECK(CALL(read, ends[0], back, 8) == -EAGAIN);
        CHECK(CALL(read, -1, back, 8) == -EBADF);
        OK(fcntl(ends[0], F_SETFL, 0));
        printf("%s\n", text);
        fflush(stdout);
    }
    return 0;
}

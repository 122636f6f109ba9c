// poll(2): ready at once, not ready, invalid and negative descriptors, a timeout that passes.
#include "loopback.h"

int main(void) {
    int ends[2], pair[2];
    OK(pipe(ends));
    tcp_pair(pair);
    struct pollfd set[] = {{.fd = ends[0], .events = POLLIN},  {.fd = ends[1], .events = POLLOUT},
                           {.fd = pair[0], .events = POLLIN},  {.fd = -1, .events = POLLIN, .revents = 99},
                           {.fd = 77, .events = POLLIN}};
    CHECK(poll(set, 5, -1) == 2);
    for (int i = 0; i < 5; i++) printf("%d: %x\n", i, (unsigned)set[i].revents);
    CHECK(set[1].revents == POLLOUT && set[3].revents == 0 && set[4].revents == POLLNVAL);
    CHECK(poll(set, 1, 0) == 0 && set[0].revents == 0);
    struct timespec before, after;
    OK(clock_gettime(CLOCK_MONOTONIC, &before));
    CHECK(poll(set, 1, 15) == 0);
    OK(clock_gettime(CLOCK_MONOTONIC, &after));
    long waited = (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;
    printf("waited %ld us\n", waited);
    CHECK(waited >= 14000);
    CHECK(write(ends[1], "x", 1) == 1 && write(pair[1], "y", 1) == 1);
    await(pair[0], POLLIN);
    CHECK(poll(set, 3, 1000) == 3);
    OK(close(ends[1]));
    char c;
    CHECK(read(ends[0], &c, 1) == 1);
    CHECK(poll(set, 1, 1000) == 1 && set[0].revents == POLLHUP);
    FAILS(EFAULT, syscall(SYS_poll, 8, 1, 0));
    CHECK(poll(NULL, 0, 1) == 0);
    return 0;
}

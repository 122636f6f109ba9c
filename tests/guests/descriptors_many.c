// Hundreds of descriptors: the lowest free number is always taken, holes are filled, poll(2) and close(2) of all.
#include "loopback.h"

int main(void) {
    static struct pollfd set[400];
    int base = OK(open("/dev/null", O_RDONLY)), ends[2];
    OK(pipe(ends));
    for (int i = 0; i < 400; i++) set[i] = (struct pollfd){.fd = OK(dup(ends[i % 2])), .events = POLLIN | POLLOUT};
    printf("descriptors %d to %d\n", set[0].fd, set[399].fd);
    CHECK(poll(set, 400, 0) == 200);
    CHECK(write(ends[1], "x", 1) == 1 && poll(set, 400, 0) == 400);
    for (int i = 0; i < 400; i += 3) OK(close(set[i].fd));
    for (int i = 0; i < 400; i += 3) CHECK(dup(base) == set[i].fd);
    FAILS(ENOENT, open("nowhere", O_RDONLY));
    CHECK(dup(base) == set[399].fd + 1);
    int pair[2];
    OK(close(set[10].fd));
    OK(close(set[5].fd));
    OK(pipe(pair));
    CHECK(pair[0] == set[5].fd && pair[1] == set[10].fd);
    for (int fd = set[0].fd; fd <= set[399].fd + 1; fd++) OK(close(fd));
    FAILS(EBADF, fcntl(set[200].fd, F_GETFD));
    CHECK(dup(base) == set[0].fd);
    return 0;
}

// A pipe with O_DIRECT: each write is a packet, a read takes one and loses what it has no room for; sizes of pipes; FIONREAD.
// output: fixed
#include "guest.h"

#include <sys/ioctl.h>

int main(void) {
    int ends[2], there = -1;
    char text[32] = "";
    OK(pipe2(ends, O_DIRECT | O_NONBLOCK));
    CHECK(fcntl(ends[1], F_GETFL) == (O_WRONLY | O_DIRECT | O_NONBLOCK));
    CHECK(write(ends[1], "first", 5) == 5 && write(ends[1], "second", 6) == 6 && write(ends[1], "third", 5) == 5);
    OK(ioctl(ends[0], FIONREAD, &there));
    CHECK(there == 16);
    CHECK(read(ends[0], text, sizeof text) == 5 && memcmp(text, "first", 5) == 0);
    CHECK(read(ends[0], text, 3) == 3 && memcmp(text, "sec", 3) == 0);
    CHECK(read(ends[0], text, sizeof text) == 5 && memcmp(text, "third", 5) == 0);
    FAILS(EAGAIN, read(ends[0], text, sizeof text));
    // Without the flag writes run into each other again.
    OK(fcntl(ends[1], F_SETFL, O_NONBLOCK));
    CHECK(write(ends[1], "one", 3) == 3 && write(ends[1], "two", 3) == 3);
    CHECK(read(ends[0], text, sizeof text) == 6);
    int size = OK(fcntl(ends[1], F_GETPIPE_SZ));
    printf("%d bytes, ", size);
    size = OK(fcntl(ends[1], F_SETPIPE_SZ, 5000));
    printf("then %d\n", size);
    CHECK(size == 8192);
    static char bulk[100000];
    CHECK(write(ends[1], bulk, sizeof bulk) == 8192);
    FAILS(EAGAIN, write(ends[1], bulk, 1));
    FAILS(EBUSY, fcntl(ends[1], F_SETPIPE_SZ, 4096));
    CHECK(read(ends[0], bulk, 4096) == 4096);
    // Up to PIPE_BUF all or nothing.
    CHECK(write(ends[1], bulk, 4096) == 4096);
    CHECK(read(ends[0], bulk, 100) == 100);
    FAILS(EAGAIN, write(ends[1], bulk, 4096));
    OK(close(ends[1]));
    long rest = 0;
    for (ssize_t got; (got = OK(read(ends[0], bulk, 3000))) > 0;) rest += got;
    printf("%ld left\n", rest);
    CHECK(rest == 8092);
    return 0;
}

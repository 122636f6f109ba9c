// SO_LINGER of 0 seconds: close(2) resets the connection, the peer sees ECONNRESET once, then EPIPE.
#include "loopback.h"

int main(void) {
    int ends[2];
    char text[16];
    tcp_pair(ends);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    OK(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    OK(close(ends[0]));
    short events = await(ends[1], POLLIN);
    printf("events %x\n", (unsigned)events);
    CHECK(events & POLLERR && events & POLLHUP);
    FAILS(ECONNRESET, read(ends[1], text, sizeof text));
    CHECK(read(ends[1], text, sizeof text) == 0);
    FAILS(EPIPE, send(ends[1], "x", 1, MSG_NOSIGNAL));

    tcp_pair(ends);
    OK(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    OK(close(ends[0]));
    await(ends[1], POLLIN);
    int error = 0;
    socklen_t length = sizeof error;
    OK(getsockopt(ends[1], SOL_SOCKET, SO_ERROR, &error, &length));
    printf("SO_ERROR %d\n", error);
    CHECK(error == ECONNRESET);
    return 0;
}

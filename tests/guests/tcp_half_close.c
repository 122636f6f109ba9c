// shutdown(2): one direction ends, the other goes on.
#include "loopback.h"

int main(void) {
    int ends[2];
    char text[16] = "";
    tcp_pair(ends);
    CHECK(write(ends[0], "question", 8) == 8);
    OK(shutdown(ends[0], SHUT_WR));
    CHECK(recv(ends[1], text, sizeof text, MSG_WAITALL) == 8);
    CHECK(read(ends[1], text, sizeof text) == 0);
    printf("got %.8s, then end of file\n", text);
    FAILS(EPIPE, send(ends[0], "more", 4, MSG_NOSIGNAL));
    CHECK(write(ends[1], "answer", 6) == 6);
    CHECK(read(ends[0], text, sizeof text) == 6);
    printf("got %.6s\n", text);
    CHECK(await(ends[1], POLLIN | POLLRDHUP) & POLLRDHUP);
    OK(shutdown(ends[1], SHUT_RDWR));
    CHECK(read(ends[0], text, sizeof text) == 0);
    short events = await(ends[0], POLLIN | POLLHUP);
    printf("events %x\n", (unsigned)events);
    CHECK(events & POLLHUP);
    FAILS(EINVAL, shutdown(ends[0], 17));
    FAILS(ENOTSOCK, shutdown(1, SHUT_WR));
    return 0;
}

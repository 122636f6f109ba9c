// MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, MSG_TRUNC on streams and datagrams: what is looked at stays, what is cut off is lost.
// output: fixed
#include "loopback.h"

int main(void) {
    int ends[2], pair[2];
    char text[32] = "";
    tcp_pair(ends);
    FAILS(EAGAIN, recv(ends[1], text, sizeof text, MSG_DONTWAIT));
    FAILS(EAGAIN, recv(ends[1], text, sizeof text, MSG_DONTWAIT | MSG_PEEK));
    CHECK(send(ends[0], "first ", 6, 0) == 6);
    CHECK(recv(ends[1], text, 6, MSG_PEEK | MSG_WAITALL) == 6 && memcmp(text, "first ", 6) == 0);
    CHECK(recv(ends[1], text, 3, MSG_PEEK) == 3 && recv(ends[1], text, 2, 0) == 2);
    CHECK(send(ends[0], "second", 6, MSG_MORE) == 6 && send(ends[0], " third", 6, 0) == 6);
    memset(text, 0, sizeof text);
    CHECK(recv(ends[1], text, 16, MSG_WAITALL) == 16);
    printf("%s\n", text);
    CHECK(strcmp(text, "rst second third") == 0);
    CHECK(send(ends[0], "rest", 4, 0) == 4);
    OK(shutdown(ends[0], SHUT_WR));
    // The end comes before all is there.
    CHECK(recv(ends[1], text, sizeof text, MSG_WAITALL) == 4);
    CHECK(recv(ends[1], text, sizeof text, MSG_PEEK) == 0 && recv(ends[1], text, sizeof text, 0) == 0);

    OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    CHECK(send(pair[0], "a long message", 14, MSG_EOR) == 14 && send(pair[0], "next", 4, 0) == 4);
    CHECK(recv(pair[1], text, 6, MSG_PEEK | MSG_TRUNC) == 14);
    struct iovec iov = {text, 6};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    CHECK(recvmsg(pair[1], &message, 0) == 6 && message.msg_flags & MSG_TRUNC);
    CHECK(recv(pair[1], text, sizeof text, 0) == 4 && memcmp(text, "next", 4) == 0);
    FAILS(EAGAIN, recv(pair[1], text, sizeof text, MSG_DONTWAIT));
    OK(close(pair[0]));
    CHECK(recv(pair[1], text, sizeof text, 0) == 0);

    struct sockaddr_in address;
    int udp = bound(SOCK_DGRAM, &address);
    OK(connect(udp, (struct sockaddr *)&address, sizeof address));
    CHECK(send(udp, "", 0, 0) == 0 && send(udp, "datagram", 8, 0) == 8);
    CHECK(recv(udp, text, sizeof text, MSG_PEEK) == 0 && recv(udp, text, sizeof text, 0) == 0);
    CHECK(recv(udp, text, 4, MSG_TRUNC) == 8 && memcmp(text, "data", 4) == 0);
    FAILS(EAGAIN, recv(udp, text, sizeof text, MSG_DONTWAIT));
    return 0;
}

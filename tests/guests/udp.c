// UDP: sendto(2) and recvfrom(2) with addresses, a connected socket, truncation, an ICMP error.
#include "loopback.h"

static char large[70000];

int main(void) {
    struct sockaddr_in a, b, from, gone;
    int one = bound(SOCK_DGRAM, &a), two = bound(SOCK_DGRAM, &b);
    char text[64] = "";
    CHECK(sendto(one, "to two", 6, 0, (struct sockaddr *)&b, sizeof b) == 6);
    CHECK(sendto(one, "", 0, 0, (struct sockaddr *)&b, sizeof b) == 0);
    socklen_t length = sizeof from;
    CHECK(recvfrom(two, text, sizeof text, 0, (struct sockaddr *)&from, &length) == 6);
    CHECK(length == sizeof from && from.sin_port == a.sin_port);
    print_address(text, &from);
    CHECK(recvfrom(two, text, sizeof text, 0, NULL, NULL) == 0);
    OK(connect(two, (struct sockaddr *)&a, sizeof a));
    CHECK(send(two, "0123456789", 10, 0) == 10);
    CHECK(recv(one, text, 4, MSG_TRUNC) == 10);
    printf("first bytes of ten: %.4s\n", text);
    FAILS(EAGAIN, recv(one, text, 1, MSG_DONTWAIT));
    OK(close(bound(SOCK_DGRAM, &gone)));
    OK(connect(two, (struct sockaddr *)&gone, sizeof gone));
    CHECK(send(two, "x", 1, 0) == 1);
    CHECK(await(two, POLLIN) & POLLERR);
    FAILS(ECONNREFUSED, recv(two, text, sizeof text, 0));
    FAILS(EMSGSIZE, sendto(one, large, sizeof large, 0, (struct sockaddr *)&b, sizeof b));
    return 0;
}

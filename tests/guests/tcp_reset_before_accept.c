// A connection that is reset before it is accepted: accept(2) gives it, getpeername(2) has no name for it any more.
// output: fixed
#include "loopback.h"

static int reset_one(int listener, const struct sockaddr_in *address) {
    int client = connected_to(address);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    OK(setsockopt(client, SOL_SOCKET, SO_LINGER, &now, sizeof now));
    OK(close(client));
    await(listener, POLLIN);
    return listener;
}

static void check(int server) {
    char text[16];
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    FAILS(ENOTCONN, getpeername(server, (struct sockaddr *)&peer, &length));
    FAILS(ECONNRESET, read(server, text, sizeof text));
    OK(close(server));
}

int main(void) {
    struct sockaddr_in address, peer = {0};
    int listener = listening(0, &address);
    check(OK(accept(reset_one(listener, &address), NULL, NULL)));
    check(OK(accept4(reset_one(listener, &address), NULL, NULL, SOCK_CLOEXEC)));
    socklen_t length = sizeof peer;
    check(OK(accept(reset_one(listener, &address), (struct sockaddr *)&peer, &length)));
    CHECK(length == sizeof peer && peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    length = 3;
    check(OK(accept(reset_one(listener, &address), (struct sockaddr *)&peer, &length)));
    CHECK(length == sizeof peer);
    printf("four were reset and accepted\n");
    return 0;
}

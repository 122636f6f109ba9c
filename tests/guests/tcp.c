// A TCP connection of a process to itself: connect first, accept afterwards; names at both ends; bytes both ways.
#include "loopback.h"

int main(void) {
    struct sockaddr_in address, peer, name;
    int listener = listening(0, &address);
    print_address("listening", &address);
    int client = connected_to(&address);
    socklen_t length = sizeof peer;
    int server = OK(accept(listener, (struct sockaddr *)&peer, &length));
    CHECK(length == sizeof peer);
    print_address("accepted from", &peer);
    length = sizeof name;
    OK(getsockname(client, (struct sockaddr *)&name, &length));
    CHECK(memcmp(&name, &peer, sizeof name) == 0);
    length = sizeof name;
    OK(getpeername(client, (struct sockaddr *)&name, &length));
    CHECK(name.sin_port == address.sin_port);
    length = 4;
    OK(getsockname(server, (struct sockaddr *)&name, &length));
    CHECK(length == sizeof name);

    char text[32] = "";
    CHECK(write(client, "request", 7) == 7);
    CHECK(recv(server, text, 3, MSG_PEEK) == 3 && memcmp(text, "req", 3) == 0);
    CHECK(recv(server, text, 7, MSG_WAITALL) == 7);
    CHECK(send(server, "response", 8, MSG_NOSIGNAL) == 8);
    CHECK(recv(client, text + 10, 8, MSG_WAITALL) == 8);
    printf("%s %s\n", text, text + 10);
    OK(close(server));
    CHECK(read(client, text, 1) == 0);
    FAILS(ENOTCONN, getpeername(listener, (struct sockaddr *)&name, &length));
    FAILS(EINVAL, accept(client, NULL, NULL));
    return 0;
}

// TCP over the IPv6 loopback address, and IPv4 through a socket for both.
#include "loopback.h"

int main(void) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT}, peer;
    int listener = socket(AF_INET6, SOCK_STREAM, 0), no = 0;
    if (listener < 0 || setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) != 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0) {
        ABSENT("IPv6");
    }
    OK(listen(listener, 4));
    socklen_t length = sizeof address;
    OK(getsockname(listener, (struct sockaddr *)&address, &length));
    struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = address.sin6_port, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int client = connected_to(&four);
    length = sizeof peer;
    int server = OK(accept(listener, (struct sockaddr *)&peer, &length));
    char text[INET6_ADDRSTRLEN];
    CHECK(length == sizeof peer && inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof text));
    printf("from %s port %d\n", text, ntohs(peer.sin6_port));
    CHECK(IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr));
    CHECK(send(client, "six", 3, 0) == 3 && recv(server, text, 3, MSG_WAITALL) == 3);
    address.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    client = OK(socket(AF_INET6, SOCK_STREAM, 0));
    int connected = connect(client, (struct sockaddr *)&address, sizeof address);
    printf("::1: %s\n", connected ? strerror(errno) : "connected");
    return 0;
}

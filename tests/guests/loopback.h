// Sockets on the loopback interface, for guests that are both ends of a connection.
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include "guest.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

// Binds a socket of this type to a free loopback port and says which.
static inline int bound(int type, struct sockaddr_in *address) {
    int fd = OK(socket(AF_INET, type, 0));
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    OK(bind(fd, (struct sockaddr *)address, sizeof *address));
    socklen_t length = sizeof *address;
    OK(getsockname(fd, (struct sockaddr *)address, &length));
    CHECK(length == sizeof *address && address->sin_port != 0);
    return fd;
}

static inline int listening(int type, struct sockaddr_in *address) {
    int fd = bound(SOCK_STREAM | type, address);
    OK(listen(fd, 16));
    return fd;
}

static inline int connected_to(const struct sockaddr_in *address) {
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));
    OK(connect(fd, (const struct sockaddr *)address, sizeof *address));
    return fd;
}

// A TCP connection from this process to itself: ends[0] connected, ends[1] accepted.
static inline void tcp_pair(int ends[2]) {
    struct sockaddr_in address;
    int listener = listening(0, &address);
    ends[0] = connected_to(&address);
    ends[1] = OK(accept(listener, NULL, NULL));
    OK(close(listener));
}

// Waits until one of these events is there; what a peer did arrives soon, not at once.
static inline short await(int fd, short events) {
    struct pollfd entry = {.fd = fd, .events = events};
    CHECK(poll(&entry, 1, 10000) == 1);
    return entry.revents;
}

static inline void print_address(const char *name, const struct sockaddr_in *address) {
    char text[INET_ADDRSTRLEN];
    CHECK(inet_ntop(AF_INET, &address->sin_addr, text, sizeof text));
    printf("%s %s:%d\n", name, text, ntohs(address->sin_port));
}

#endif

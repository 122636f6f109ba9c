// Errors that wait in a socket: a refused connection by SO_ERROR and by the next call, a UDP port where nobody is, a shut-down end,
// EAGAIN of an empty queue of connections.
// output: fixed
#include "loopback.h"

static int pending_error(int fd) {
    int error = -1;
    socklen_t length = sizeof error;
    OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    return error;
}

int main(void) {
    struct sockaddr_in nobody, address;
    socklen_t length = sizeof address;
    char text[8];
    // A port that was free a moment ago and is held, but not listened at.
    int holder = bound(SOCK_STREAM, &nobody);
    int fd = OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    FAILS(ENOTCONN, getpeername(fd, (struct sockaddr *)&address, &length));
    FAILS(ENOTCONN, recv(fd, text, sizeof text, 0));
    int result = connect(fd, (struct sockaddr *)&nobody, sizeof nobody);
    CHECK(result == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    if (errno == EINPROGRESS) {
        short events = await(fd, POLLOUT);
        CHECK(events & POLLERR && events & POLLHUP);
        CHECK(pending_error(fd) == ECONNREFUSED);
    }
    CHECK(pending_error(fd) == 0);
    OK(close(fd));
    OK(close(holder));

    int udp = bound(SOCK_DGRAM, &address), held = bound(SOCK_DGRAM, &nobody);
    OK(close(held));
    OK(connect(udp, (struct sockaddr *)&nobody, sizeof nobody));
    CHECK(send(udp, "x", 1, 0) == 1);
    CHECK(await(udp, POLLIN) & POLLERR);
    CHECK(pending_error(udp) == ECONNREFUSED && pending_error(udp) == 0);
    FAILS(EAGAIN, recv(udp, text, sizeof text, MSG_DONTWAIT));
    CHECK(send(udp, "x", 1, 0) == 1);
    CHECK(await(udp, POLLIN) & POLLERR);
    FAILS(ECONNREFUSED, recv(udp, text, sizeof text, 0));
    held = OK(socket(AF_INET, SOCK_DGRAM, 0));
    FAILS(EDESTADDRREQ, send(held, "x", 1, 0));

    int listener = listening(SOCK_NONBLOCK, &address);
    FAILS(EAGAIN, accept(listener, NULL, NULL));
    FAILS(EAGAIN, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    FAILS(EINVAL, accept4(listener, NULL, NULL, 0x40000000));
    FAILS(ENOTCONN, recv(listener, text, sizeof text, 0));
    int ends[2];
    tcp_pair(ends);
    FAILS(EINVAL, accept(ends[0], NULL, NULL));
    FAILS(EISCONN, connect(ends[0], (struct sockaddr *)&address, sizeof address));
    OK(shutdown(ends[0], SHUT_RD));
    CHECK(recv(ends[0], text, sizeof text, 0) == 0);
    return 0;
}

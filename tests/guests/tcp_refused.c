// connect(2), bind(2) and listen(2) that fail: ECONNREFUSED, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT.
#include "loopback.h"

int main(void) {
    struct sockaddr_in address, free_one, foreign = {.sin_family = AF_INET, .sin_addr = {htonl(0xc0000201)}};
    int listener = listening(0, &address), closed = bound(SOCK_STREAM, &free_one);
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));
    FAILS(ECONNREFUSED, connect(fd, (struct sockaddr *)&free_one, sizeof free_one));
    FAILS(EADDRINUSE, bind(fd, (struct sockaddr *)&address, sizeof address));
    FAILS(EADDRNOTAVAIL, bind(fd, (struct sockaddr *)&foreign, sizeof foreign));
    FAILS(EINVAL, bind(fd, (struct sockaddr *)&address, 3));
    FAILS(EINVAL, bind(listener, (struct sockaddr *)&address, sizeof address));
    FAILS(ENOTCONN, shutdown(fd, SHUT_WR));
    FAILS(ENOTSOCK, listen(1, 5));
    FAILS(EPROTONOSUPPORT, socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    FAILS(EAFNOSUPPORT, socket(255, SOCK_STREAM, 0));
    OK(close(closed));
    printf("IPv6: %s\n", socket(AF_INET6, SOCK_STREAM, 0) < 0 ? strerror(errno) : "yes");
    return 0;
}

// accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC; several connections wait in the queue; EAGAIN when it is empty.
#include "loopback.h"

int main(void) {
    struct sockaddr_in address, peer;
    int listener = listening(SOCK_NONBLOCK | SOCK_CLOEXEC, &address), clients[3], servers[3];
    FAILS(EAGAIN, accept4(listener, NULL, NULL, 0));
    for (int i = 0; i < 3; i++) {
        clients[i] = connected_to(&address);
        CHECK(send(clients[i], &i, sizeof i, 0) == sizeof i);
    }
    for (int i = 0; i < 3; i++) {
        int number;
        socklen_t length = sizeof peer;
        await(listener, POLLIN);
        servers[i] = OK(accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
        CHECK(fcntl(servers[i], F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(servers[i], F_GETFD) == FD_CLOEXEC);
        await(servers[i], POLLIN);
        CHECK(read(servers[i], &number, sizeof number) == sizeof number);
        printf("descriptor %d carries number %d from ", servers[i], number);
        print_address("port", &peer);
        CHECK(number == i);
        FAILS(EAGAIN, read(servers[i], &number, sizeof number));
    }
    FAILS(EAGAIN, accept4(listener, NULL, NULL, 0));
    FAILS(EINVAL, accept4(listener, NULL, NULL, 1));
    FAILS(ENOTSOCK, accept4(1, NULL, NULL, 0));
    return 0;
}

// getsockopt(2), setsockopt(2): what servers set, sizes the kernel doubles, values that are not set at all.
#include "loopback.h"

static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    OK(getsockopt(fd, level, name, &value, &length));
    CHECK(length == sizeof value);
    return value;
}

int main(void) {
    struct sockaddr_in address;
    int listener = bound(SOCK_STREAM, &address), ends[2], yes = 1, size = 20000, idle = 77;
    OK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes));
    CHECK(option(listener, SOL_SOCKET, SO_ACCEPTCONN) == 0);
    OK(listen(listener, 1));
    CHECK(option(listener, SOL_SOCKET, SO_ACCEPTCONN) == 1);
    tcp_pair(ends);
    OK(setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
    CHECK(option(ends[0], IPPROTO_TCP, TCP_NODELAY) == 1);
    OK(setsockopt(ends[0], SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes));
    OK(setsockopt(ends[0], IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle));
    CHECK(option(ends[0], IPPROTO_TCP, TCP_KEEPIDLE) == 77);
    printf("receive buffer %d, ", option(ends[0], SOL_SOCKET, SO_RCVBUF));
    OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    printf("then %d, segment %d\n", option(ends[0], SOL_SOCKET, SO_RCVBUF), option(ends[0], IPPROTO_TCP, TCP_MAXSEG));
    struct tcp_info info = {0};
    socklen_t length = 8;
    OK(getsockopt(ends[0], IPPROTO_TCP, TCP_INFO, &info, &length));
    printf("tcp state %d, %u bytes of information\n", info.tcpi_state, length);
    struct timeval wait = {1, 500000};
    OK(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait));
    CHECK(option(ends[1], SOL_SOCKET, SO_TYPE) == SOCK_STREAM && option(ends[1], SOL_SOCKET, SO_ERROR) == 0);
    FAILS(ENOPROTOOPT, setsockopt(ends[0], IPPROTO_TCP, 9999, &yes, sizeof yes));
    FAILS(ENOTSOCK, getsockopt(0, SOL_SOCKET, SO_TYPE, &size, &length));
    return 0;
}

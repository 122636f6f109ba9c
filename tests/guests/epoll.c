// epoll: add, modify, delete, their errors, user data, several events in one call.
#include "loopback.h"

#include <sys/epoll.h>

int main(void) {
    int set = OK(epoll_create1(EPOLL_CLOEXEC)), pair[2], fd = file_with("data", "");
    tcp_pair(pair);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1234567890abcdef}, got[4];
    OK(epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event));
    FAILS(EEXIST, epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event));
    FAILS(ENOENT, epoll_ctl(set, EPOLL_CTL_MOD, pair[1], &event));
    FAILS(ENOENT, epoll_ctl(set, EPOLL_CTL_DEL, pair[1], &event));
    FAILS(EPERM, epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
    FAILS(EBADF, epoll_ctl(set, EPOLL_CTL_ADD, 99, &event));
    FAILS(EINVAL, epoll_ctl(set, EPOLL_CTL_ADD, set, &event));
    CHECK(epoll_wait(set, got, 4, 0) == 0);
    CHECK(write(pair[1], "x", 1) == 1);
    CHECK(epoll_wait(set, got, 4, 5000) == 1);
    CHECK(got[0].data.u64 == 0x1234567890abcdef && got[0].events == EPOLLIN);
    event.events = EPOLLIN | EPOLLOUT;
    event.data.fd = pair[0];
    OK(epoll_ctl(set, EPOLL_CTL_MOD, pair[0], &event));
    event.events = EPOLLOUT;
    event.data.ptr = &event;
    OK(epoll_ctl(set, EPOLL_CTL_ADD, pair[1], &event));
    int n = OK(epoll_wait(set, got, 4, -1));
    for (int i = 0; i < n; i++) printf("%x %lx\n", got[i].events, (unsigned long)got[i].data.u64);
    CHECK(n == 2);
    OK(epoll_ctl(set, EPOLL_CTL_DEL, pair[0], NULL));
    OK(close(pair[1]));
    CHECK(epoll_wait(set, got, 4, 3) == 0);
    FAILS(EINVAL, epoll_wait(set, got, 0, 0));
    FAILS(EINVAL, epoll_wait(fd, got, 1, 0));
    return 0;
}

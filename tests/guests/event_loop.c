// A small server and its clients in one thread: epoll, accept, echo and a timer, as an event loop has them.
#include "loopback.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#define CLIENTS 8

int main(void) {
    struct sockaddr_in address;
    int listener = listening(SOCK_NONBLOCK, &address), set = OK(epoll_create1(0)), echoed = 0, ticks = 0;
    int timer = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    OK(timerfd_settime(timer, 0, &(struct itimerspec){{0, 1000000}, {0, 1000000}}, NULL));
    OK(epoll_ctl(set, EPOLL_CTL_ADD, listener, &(struct epoll_event){EPOLLIN, {.fd = listener}}));
    OK(epoll_ctl(set, EPOLL_CTL_ADD, timer, &(struct epoll_event){EPOLLIN, {.fd = timer}}));
    int clients[CLIENTS];
    char text[64];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connected_to(&address);
        CHECK(dprintf(clients[i], "client %d", i) == 8);
    }
    while (echoed < CLIENTS || ticks < 3) {
        struct epoll_event got[4];
        int n = OK(epoll_wait(set, got, 4, 5000));
        CHECK(n > 0);
        for (int i = 0; i < n; i++) {
            int fd = got[i].data.fd, fresh;
            uint64_t expirations;
            if (fd == listener) {
                while ((fresh = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
                    OK(epoll_ctl(set, EPOLL_CTL_ADD, fresh, &(struct epoll_event){EPOLLIN, {.fd = fresh}}));
                CHECK(errno == EAGAIN);
            } else if (fd == timer) {
                CHECK(read(timer, &expirations, sizeof expirations) == sizeof expirations);
                ticks += (int)expirations;
            } else {
                ssize_t got_bytes = OK(read(fd, text, sizeof text));
                CHECK(write(fd, text, (size_t)got_bytes) == got_bytes);
                printf("echo of %.*s on %d\n", (int)got_bytes, text, fd);
                echoed++;
                OK(close(fd));
            }
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        CHECK(recv(clients[i], text, sizeof text, MSG_WAITALL) == 8);
        CHECK(text[7] == '0' + i);
    }
    printf("%d echoes, %d ticks\n", echoed, ticks);
    return 0;
}

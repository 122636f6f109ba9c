// epoll: edge-triggered and one-shot entries, a set within a set.
#include "guest.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

int main(void) {
    int set = OK(epoll_create(1)), outer = OK(epoll_create1(0)), ends[2], counter = OK(eventfd(0, EFD_NONBLOCK));
    OK(pipe2(ends, O_NONBLOCK));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = 1}, got[4];
    OK(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
    event = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.u32 = 2};
    OK(epoll_ctl(set, EPOLL_CTL_ADD, counter, &event));
    event = (struct epoll_event){.events = EPOLLIN, .data.u32 = 3};
    OK(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event));
    CHECK(epoll_wait(outer, got, 4, 0) == 0);
    CHECK(write(ends[1], "ab", 2) == 2);
    OK(eventfd_write(counter, 5));
    CHECK(epoll_wait(outer, got, 4, 1000) == 1 && got[0].data.u32 == 3);
    int n = OK(epoll_wait(set, got, 4, 1000));
    for (int i = 0; i < n; i++) printf("event %x of %u\n", got[i].events, got[i].data.u32);
    CHECK(n == 2);
    CHECK(epoll_wait(set, got, 4, 0) == 0);
    char c;
    CHECK(read(ends[0], &c, 1) == 1);
    CHECK(epoll_wait(set, got, 4, 2) == 0);
    CHECK(write(ends[1], "c", 1) == 1);
    CHECK(epoll_wait(set, got, 4, 1000) == 1 && got[0].data.u32 == 1);
    event = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.u32 = 4};
    OK(epoll_ctl(set, EPOLL_CTL_MOD, counter, &event));
    CHECK(epoll_wait(set, got, 4, 1000) == 1 && got[0].data.u32 == 4);
    printf("re-armed: %u\n", got[0].data.u32);
    return 0;
}

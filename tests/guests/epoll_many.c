// epoll over many: a hundred eventfds in a set, sets within sets to a depth, fairness of a short list, entries that vanish with
// their descriptor but not with one of two, and data that changes between two waits.
#include "guest.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

enum { MANY = 100 };

int main(void) {
    int fds[MANY], set = OK(epoll_create1(EPOLL_CLOEXEC)), outer = OK(epoll_create1(0)), outermost = OK(epoll_create1(0));
    struct epoll_event events[16], event;
    for (int i = 0; i < MANY; i++) {
        fds[i] = OK(eventfd(0, EFD_NONBLOCK));
        event = (struct epoll_event){.events = EPOLLIN | (i % 4 == 1 ? EPOLLET : i % 4 == 2 ? EPOLLONESHOT : 0), .data.u64 = (uint64_t)i << 32 | 7};
        OK(epoll_ctl(set, EPOLL_CTL_ADD, fds[i], &event));
    }
    event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 4711};
    OK(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event));
    event.data.u64 = 4712;
    OK(epoll_ctl(outermost, EPOLL_CTL_ADD, outer, &event));
    FAILS(ELOOP, epoll_ctl(set, EPOLL_CTL_ADD, outermost, &event));
    CHECK(epoll_wait(outermost, events, 16, 0) == 0);
    for (int i = 0; i < MANY; i++) OK(eventfd_write(fds[i], (eventfd_t)i + 1));
    CHECK(epoll_wait(outermost, events, 16, 1000) == 1 && events[0].data.u64 == 4712);
    CHECK(epoll_wait(outer, events, 16, 1000) == 1 && events[0].data.u64 == 4711);
    // Level-triggered ones come round again behind the others: in so many waits each is seen.
    int seen[MANY] = {0};
    for (int round = 0; round < 30; round++) {
        int count = OK(epoll_wait(set, events, 16, 0));
        for (int i = 0; i < count; i++) {
            CHECK((uint32_t)events[i].data.u64 == 7 && events[i].events == EPOLLIN);
            seen[events[i].data.u64 >> 32]++;
        }
        if (round % 10 == 0) printf("%d events, the first of %lu\n", count, events[0].data.u64 >> 32);
    }
    for (int i = 0; i < MANY; i++) CHECK(i % 4 == 1 || i % 4 == 2 ? seen[i] == 1 : seen[i] > 1);
    // Armed again, both kinds tell once more.
    event = (struct epoll_event){.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 2};
    OK(epoll_ctl(set, EPOLL_CTL_MOD, fds[2], &event));
    OK(eventfd_write(fds[1], 1));
    eventfd_t value;
    for (int i = 0; i < MANY; i++) {
        if (i != 1 && i != 2) OK(eventfd_read(fds[i], &value));
    }
    CHECK(epoll_wait(set, events, 16, 0) == 2 && epoll_wait(set, events, 16, 0) == 0);
    // A second number keeps the entry alive when the first is closed.
    int second = OK(dup(fds[50]));
    OK(close(fds[50]));
    OK(eventfd_write(second, 1));
    event.data.u64 = 0;
    CHECK(epoll_wait(set, events, 16, 0) == 0 || events[0].data.u64 >> 32 == 50);
    OK(close(second));
    CHECK(epoll_wait(set, events, 16, 0) == 0);
    FAILS(EEXIST, epoll_ctl(set, EPOLL_CTL_ADD, fds[3], &event));
    FAILS(EINVAL, epoll_wait(set, events, 0, 0));
    return 0;
}

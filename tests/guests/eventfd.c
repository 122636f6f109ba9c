// eventfd2(2): a counter, a semaphore, its limit, and what it refuses.
#include "guest.h"

#include <poll.h>
#include <sys/eventfd.h>

int main(void) {
    int counter = OK(eventfd(7, EFD_NONBLOCK | EFD_CLOEXEC)), semaphore = OK(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
    uint64_t value = 5;
    CHECK(write(counter, &value, sizeof value) == sizeof value);
    CHECK(read(counter, &value, sizeof value) == sizeof value);
    printf("counter %lu\n", value);
    CHECK(value == 12);
    FAILS(EAGAIN, read(counter, &value, sizeof value));
    for (int i = 0; i < 3; i++) CHECK(read(semaphore, &value, sizeof value) == sizeof value && value == 1);
    FAILS(EAGAIN, read(semaphore, &value, sizeof value));
    value = UINT64_MAX - 1;
    CHECK(write(counter, &value, sizeof value) == sizeof value);
    struct pollfd entry = {.fd = counter, .events = POLLIN | POLLOUT};
    CHECK(poll(&entry, 1, 0) == 1 && entry.revents == POLLIN);
    value = 1;
    FAILS(EAGAIN, write(counter, &value, sizeof value));
    value = UINT64_MAX;
    FAILS(EINVAL, write(counter, &value, sizeof value));
    FAILS(EINVAL, write(counter, &value, 4));
    CHECK(read(counter, &value, sizeof value) == sizeof value && value == UINT64_MAX - 1);
    return 0;
}

// timerfd: once, periodic, absolute; what is left; expirations counted; EAGAIN; disarmed.
#include "guest.h"

#include <poll.h>
#include <sys/timerfd.h>

int main(void) {
    int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    uint64_t expirations = 0;
    FAILS(EAGAIN, read(fd, &expirations, sizeof expirations));
    struct itimerspec far = {.it_value = {100, 0}, .it_interval = {7, 5}}, now, old;
    OK(timerfd_settime(fd, 0, &far, NULL));
    OK(timerfd_gettime(fd, &now));
    printf("left %ld.%09ld interval %ld.%09ld\n", now.it_value.tv_sec, now.it_value.tv_nsec, now.it_interval.tv_sec,
           now.it_interval.tv_nsec);
    CHECK(now.it_value.tv_sec > 10 && now.it_value.tv_sec <= 100);
    struct itimerspec periodic = {.it_value = {0, 3000000}, .it_interval = {0, 2000000}};
    OK(timerfd_settime(fd, 0, &periodic, &old));
    CHECK(old.it_interval.tv_sec == 7);
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    CHECK(poll(&entry, 1, 5000) == 1);
    usleep(5000);
    CHECK(read(fd, &expirations, sizeof expirations) == sizeof expirations);
    printf("expired %lu times\n", expirations);
    CHECK(expirations >= 2);
    struct itimerspec off = {0};
    OK(timerfd_settime(fd, 0, &off, NULL));
    int blocking = OK(timerfd_create(CLOCK_REALTIME, 0));
    struct timespec at;
    OK(clock_gettime(CLOCK_REALTIME, &at));
    OK(timerfd_settime(blocking, TFD_TIMER_ABSTIME, &(struct itimerspec){.it_value = at}, NULL));
    CHECK(read(blocking, &expirations, sizeof expirations) == sizeof expirations && expirations == 1);
    FAILS(EINVAL, timerfd_create(4711, 0));
    FAILS(EINVAL, read(fd, &expirations, 4));
    return 0;
}

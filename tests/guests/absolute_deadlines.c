// Absolute deadlines: clock_nanosleep(2) and timerfd of several clocks never end early, end at once when they are past, and count
// periods that have been missed.
#include "guest.h"

#include <poll.h>
#include <sys/timerfd.h>

static int64_t now_of(clockid_t clock) {
    struct timespec t;
    OK(clock_gettime(clock, &t));
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static struct timespec at(int64_t ns) { return (struct timespec){ns / 1000000000, ns % 1000000000}; }

int main(void) {
    const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            int64_t deadline = now_of(clocks[i]) + k * 1500000 - 1000000;
            struct timespec until = at(deadline);
            CHECK(clock_nanosleep(clocks[i], TIMER_ABSTIME, &until, NULL) == 0);
            int64_t late = now_of(clocks[i]) - deadline;
            CHECK(late >= 0);
            printf("clock %d: %ld ns late\n", clocks[i], (long)late);
        }
        int fd = OK(timerfd_create(clocks[i], TFD_NONBLOCK));
        int64_t first = now_of(clocks[i]) - 10500000;
        struct itimerspec setting = {.it_value = at(first), .it_interval = {0, 1000000}}, left;
        OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &setting, NULL));
        struct pollfd entry = {.fd = fd, .events = POLLIN};
        CHECK(poll(&entry, 1, 10000) == 1);
        uint64_t count = 0;
        CHECK(read(fd, &count, 8) == 8);
        int64_t most = (now_of(clocks[i]) - first) / 1000000 + 1;
        printf("%lu periods, at most %ld\n", count, (long)most);
        CHECK(count >= 11 && (int64_t)count <= most);
        OK(timerfd_gettime(fd, &left));
        CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec <= 1000000 && left.it_interval.tv_nsec == 1000000);
        OK(close(fd));
    }
    struct timespec past = {0, 0};
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL) == 0);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){0, -1}, NULL) == EINVAL);
    CHECK(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &past, NULL) == EINVAL);
    return 0;
}

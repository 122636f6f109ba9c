// nanosleep(2), clock_nanosleep(2) relative and absolute, usleep(3).
#include "guest.h"

static long since(const struct timespec *start) {
    struct timespec now;
    OK(clock_gettime(CLOCK_MONOTONIC, &now));
    return (now.tv_sec - start->tv_sec) * 1000000000 + now.tv_nsec - start->tv_nsec;
}

int main(void) {
    struct timespec start, span = {0, 4000000}, left = {77, 77};
    OK(clock_gettime(CLOCK_MONOTONIC, &start));
    OK(nanosleep(&span, &left));
    printf("nanosleep: %ld ns\n", since(&start));
    CHECK(since(&start) >= span.tv_nsec && left.tv_sec == 77);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL) == 0);
    printf("relative: %ld ns\n", since(&start));
    struct timespec until = {start.tv_sec, start.tv_nsec + 12000000};
    if (until.tv_nsec >= 1000000000) until = (struct timespec){until.tv_sec + 1, until.tv_nsec - 1000000000};
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0);
    printf("absolute: %ld ns\n", since(&start));
    CHECK(since(&start) >= 12000000);
    OK(usleep(1000));
    CHECK(clock_nanosleep(CLOCK_REALTIME, 0, &span, NULL) == 0);
    CHECK(clock_nanosleep(CLOCK_REALTIME, 0, &(struct timespec){0, -1}, NULL) == EINVAL);
    FAILS(EINVAL, nanosleep(&(struct timespec){-1, 0}, NULL));
    FAILS(EFAULT, syscall(SYS_nanosleep, 8, NULL));
    return 0;
}

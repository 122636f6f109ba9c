// Calls that ignored signals interrupt and restart: the kernel goes on with what is left of the time.
#include "guest.h"

static long since(const struct timespec *start) {
    struct timespec now;
    OK(clock_gettime(CLOCK_MONOTONIC, &now));
    return (now.tv_sec - start->tv_sec) * 1000000000 + now.tv_nsec - start->tv_nsec;
}

int main(void) {
    struct timespec start, span = {0, 20000000}, left = {77, 77};
    signal(SIGALRM, SIG_IGN);
    tick_every(3, 3);
    OK(clock_gettime(CLOCK_MONOTONIC, &start));
    OK(nanosleep(&span, &left));
    CHECK(since(&start) >= span.tv_nsec && left.tv_sec == 77);
    printf("nanosleep took %ld ns\n", since(&start));
    OK(clock_gettime(CLOCK_MONOTONIC, &start));
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL) == 0);
    CHECK(since(&start) >= span.tv_nsec);
    printf("clock_nanosleep took %ld ns\n", since(&start));
    tick_every(0, 0);
    return 0;
}

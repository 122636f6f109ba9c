// clock_gettime(2), clock_getres(2) of every common clock, and that none of them goes back.
#include "guest.h"

int main(void) {
    static const struct {
        const char *name;
        clockid_t id;
    } clocks[] = {{"realtime", CLOCK_REALTIME},          {"monotonic", CLOCK_MONOTONIC},
                  {"realtime coarse", CLOCK_REALTIME_COARSE}, {"monotonic coarse", CLOCK_MONOTONIC_COARSE},
                  {"monotonic raw", CLOCK_MONOTONIC_RAW}, {"boottime", CLOCK_BOOTTIME},
                  {"process", CLOCK_PROCESS_CPUTIME_ID}, {"thread", CLOCK_THREAD_CPUTIME_ID},
                  {"tai", CLOCK_TAI}};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct timespec resolution, last = {0}, now;
        OK(clock_getres(clocks[i].id, &resolution));
        for (int k = 0; k < 50; k++) {
            OK(clock_gettime(clocks[i].id, &now));
            CHECK(now.tv_sec > last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec >= last.tv_nsec));
            last = now;
        }
        printf("%s: %ld.%09ld, resolution %ld ns\n", clocks[i].name, now.tv_sec, now.tv_nsec, resolution.tv_nsec);
    }
    printf("clock(): %ld\n", clock());
    struct timespec t;
    FAILS(EINVAL, clock_gettime(4711, &t));
    return 0;
}

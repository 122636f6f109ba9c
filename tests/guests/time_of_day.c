// time(2), gettimeofday(2): they agree with each other and with clock_gettime(2).
#include "guest.h"

int main(void) {
    struct timeval day;
    struct timespec clock;
    for (int i = 0; i < 100; i++) {
        time_t first = time(NULL), stored = 0;
        OK(gettimeofday(&day, NULL));
        OK(clock_gettime(CLOCK_REALTIME, &clock));
        time_t last = time(&stored);
        CHECK(stored == last);
        CHECK(first <= day.tv_sec && day.tv_sec <= clock.tv_sec);
        CHECK(last <= clock.tv_sec + 1);
        if (i % 20 == 0)
            printf("%ld %ld.%06ld %ld.%09ld\n", (long)first, day.tv_sec, day.tv_usec, clock.tv_sec, clock.tv_nsec);
    }
    printf("raw: time %ld gettimeofday %ld", syscall(SYS_time, NULL), syscall(SYS_gettimeofday, &day, NULL));
    printf(" -> %ld.%06ld\n", day.tv_sec, day.tv_usec);
    struct timezone zone;
    OK(syscall(SYS_gettimeofday, NULL, &zone));
    printf("zone %d %d\n", zone.tz_minuteswest, zone.tz_dsttime);
    return 0;
}

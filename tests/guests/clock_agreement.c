// clock_gettime(2), gettimeofday(2), time(2), times(2), clock(3), getrusage(2): read in turn, none is before the one read before it.
#include "guest.h"

#include <sys/resource.h>
#include <sys/times.h>

static int64_t realtime(void) {
    struct timespec t;
    OK(clock_gettime(CLOCK_REALTIME, &t));
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

int main(void) {
    struct timespec monotonic, boot, raw, used;
    struct timeval now;
    struct tms cpu, last_cpu = {0};
    struct rusage usage;
    clock_t last_ticks = times(&last_cpu);
    for (int i = 0; i < 100; i++) {
        int64_t a = realtime();
        OK(gettimeofday(&now, NULL));
        int64_t b = realtime();
        int64_t between = now.tv_sec * 1000000000ll + now.tv_usec * 1000ll;
        CHECK(between >= a - 1000 && between <= b);
        // time(2) may be up to a tick late.
        int64_t seconds = time(NULL);
        CHECK(seconds * 1000000000ll <= realtime() && seconds >= b / 1000000000 - 1);
        OK(clock_gettime(CLOCK_MONOTONIC, &monotonic));
        OK(clock_gettime(CLOCK_BOOTTIME, &boot));
        OK(clock_gettime(CLOCK_MONOTONIC_RAW, &raw));
        CHECK(boot.tv_sec >= monotonic.tv_sec);
        clock_t ticks = times(&cpu);
        CHECK(ticks >= last_ticks && cpu.tms_utime >= last_cpu.tms_utime && cpu.tms_stime >= last_cpu.tms_stime);
        CHECK(cpu.tms_cutime == 0 && cpu.tms_cstime == 0);
        last_ticks = ticks;
        last_cpu = cpu;
    }
    OK(getrusage(RUSAGE_SELF, &usage));
    OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used));
    printf("user %ld.%06ld system %ld.%06ld, %ld KiB, %ld faults, used %ld.%09ld, ticks %ld\n", usage.ru_utime.tv_sec,
           usage.ru_utime.tv_usec, usage.ru_stime.tv_sec, usage.ru_stime.tv_usec, usage.ru_maxrss, usage.ru_minflt,
           used.tv_sec, used.tv_nsec, (long)last_ticks);
    OK(getrusage(RUSAGE_THREAD, &usage));
    OK(getrusage(RUSAGE_CHILDREN, &usage));
    CHECK(usage.ru_utime.tv_sec == 0 && usage.ru_maxrss == 0);
    FAILS(EINVAL, getrusage(7, &usage));
    printf("%ld.%09ld monotonic, %ld.%09ld raw\n", monotonic.tv_sec, monotonic.tv_nsec, raw.tv_sec, raw.tv_nsec);
    return 0;
}

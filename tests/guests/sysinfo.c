// sysinfo(2), getrusage(2), times(2), getloadavg(3): numbers that nobody can know beforehand.
#include "guest.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>

int main(void) {
    struct sysinfo info;
    struct rusage usage;
    struct tms spent;
    OK(sysinfo(&info));
    printf("up %ld loads %lu %lu %lu total %lu free %lu shared %lu buffers %lu processes %u unit %u\n", info.uptime,
           info.loads[0], info.loads[1], info.loads[2], info.totalram, info.freeram, info.sharedram, info.bufferram,
           info.procs, info.mem_unit);
    CHECK(info.totalram > info.freeram);
    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        OK(getrusage(who, &usage));
        printf("%d: user %ld.%06ld system %ld.%06ld resident %ld faults %ld %ld switches %ld %ld\n", who,
               usage.ru_utime.tv_sec, usage.ru_utime.tv_usec, usage.ru_stime.tv_sec, usage.ru_stime.tv_usec,
               usage.ru_maxrss, usage.ru_minflt, usage.ru_majflt, usage.ru_nvcsw, usage.ru_nivcsw);
    }
    clock_t ticks = OK(times(&spent));
    printf("ticks %ld user %ld system %ld\n", ticks, spent.tms_utime, spent.tms_stime);
    double loads[3];
    CHECK(getloadavg(loads, 3) == 3);
    printf("load %.2f %.2f %.2f\n", loads[0], loads[1], loads[2]);
    FAILS(EINVAL, getrusage(17, &usage));
    return 0;
}

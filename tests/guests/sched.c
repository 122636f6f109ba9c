// sched_getaffinity(2), sched_yield(2), getcpu(2), scheduler parameters, getpriority(2).
#include "guest.h"

#include <sched.h>
#include <sys/resource.h>

int main(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    OK(sched_getaffinity(0, sizeof set, &set));
    printf("%d processors allowed:", CPU_COUNT(&set));
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set)) printf(" %d", i);
    printf("\nraw result %ld\n", syscall(SYS_sched_getaffinity, getpid(), sizeof set, &set));
    CHECK(CPU_COUNT(&set) >= 1);
    for (int i = 0; i < 20; i++) OK(sched_yield());
    unsigned cpu = 0, node = 0;
    OK(syscall(SYS_getcpu, &cpu, &node, NULL));
    printf("on processor %u of node %u, sched_getcpu %d\n", cpu, node, sched_getcpu());
    struct sched_param parameter = {.sched_priority = 99};
    OK(sched_getparam(0, &parameter));
    printf("policy %d priority %d highest %d\n", sched_getscheduler(0), parameter.sched_priority,
           sched_get_priority_max(SCHED_FIFO));
    errno = 0;
    int nice = getpriority(PRIO_PROCESS, 0);
    CHECK(errno == 0);
    printf("nice %d\n", nice);
    FAILS(EINVAL, sched_getaffinity(0, 0, &set));
    return 0;
}

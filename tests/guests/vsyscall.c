// The vsyscall page: time(2), gettimeofday(2) and getcpu(2) at fixed addresses, as very old static programs call them.
// A system may have none.
#include "guest.h"

#include <sys/syscall.h>

static int there(void) {
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    int found = 0;
    while (fgets(line, sizeof line, maps)) found |= strstr(line, "[vsyscall]") != NULL;
    fclose(maps);
    return found;
}

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

int main(void) {
    if (!there()) ABSENT("the vsyscall page");
    int (*clock)(struct timeval *, void *) = (void *)0xffffffffff600000;
    time_t (*seconds)(time_t *) = (void *)0xffffffffff600400;
    int (*processor)(unsigned *, unsigned *, void *) = (void *)0xffffffffff600800;
    struct timeval first, second;
    time_t stored = 0;
    unsigned cpu = 99, node = 99;
    CHECK(clock(&first, NULL) == 0);
    time_t returned = seconds(&stored);
    // time(2) may be up to a tick late.
    CHECK(returned == stored && returned >= first.tv_sec - 1 && seconds(NULL) >= returned);
    CHECK(processor(&cpu, &node, NULL) == 0 && cpu != 99);
    handle(SIGALRM, on_tick, 0);
    tick_every(1, 1);
    do {
        CHECK(clock(&second, NULL) == 0);
    } while (second.tv_sec == first.tv_sec && second.tv_usec - first.tv_usec < 10000);
    tick_every(0, 0);
    CHECK(ticks > 0);
    printf("%ld.%06ld %ld %u %u %ld.%06ld\n", first.tv_sec, first.tv_usec, returned, cpu, node, second.tv_sec, second.tv_usec);
    return 0;
}

// RLIMIT_CPU with a handler of SIGXCPU: it comes while the program asks for its own time; the limit is lifted, and it goes on.
#include "guest.h"

#include <sys/resource.h>

static volatile sig_atomic_t runs;

static void on_limit(int signal) {
    struct rlimit limit;
    runs++;
    OK(getrlimit(RLIMIT_CPU, &limit));
    limit.rlim_cur = limit.rlim_max;
    OK(setrlimit(RLIMIT_CPU, &limit));
    dprintf(1, "signal %d\n", signal);
}

int main(void) {
    struct rlimit limit;
    struct timespec used;
    handle(SIGXCPU, on_limit, 0);
    OK(getrlimit(RLIMIT_CPU, &limit));
    limit.rlim_cur = 1;
    OK(setrlimit(RLIMIT_CPU, &limit));
    unsigned long calls = 0;
    while (runs == 0) {
        for (volatile unsigned i = 0; i < 2000000; i++) {}
        OK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used));
        calls++;
    }
    printf("after %ld.%09ld s and %lu calls\n", used.tv_sec, used.tv_nsec, calls);
    OK(getrlimit(RLIMIT_CPU, &limit));
    CHECK(runs == 1 && limit.rlim_cur == limit.rlim_max);
    return 0;
}

// signal: 25
// RLIMIT_FSIZE: a write that is cut short, EFBIG with the signal handled, and at last SIGXFSZ as it is.
#include "guest.h"

#include <sys/resource.h>

static volatile sig_atomic_t caught;

static void on_limit(int signal) { caught = signal; }

int main(void) {
    struct rlimit limit = {10000, RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 10000;
    OK(setrlimit(RLIMIT_FSIZE, &limit));
    static char block[8000];
    int fd = OK(creat("data", 0644));
    CHECK(write(fd, block, sizeof block) == 8000);
    CHECK(write(fd, block, sizeof block) == 2000);
    handle(SIGXFSZ, on_limit, 0);
    FAILS(EFBIG, write(fd, block, 1));
    CHECK(caught == SIGXFSZ);
    printf("cut short, then signal %d\n", caught);
    fflush(stdout);
    signal(SIGXFSZ, SIG_DFL);
    CHECK(write(fd, block, 1) == 1);
    return 1;
}

// prlimit64(2), getrlimit(2), setrlimit(2): descriptors run out at a lowered limit.
#include "guest.h"

#include <sys/resource.h>

int main(void) {
    struct rlimit files, stack;
    OK(getrlimit(RLIMIT_NOFILE, &files));
    OK(prlimit(0, RLIMIT_STACK, NULL, &stack));
    printf("files %lu %lu stack %lu %lu\n", files.rlim_cur, files.rlim_max, stack.rlim_cur, stack.rlim_max);
    struct rlimit few = {.rlim_cur = 5, .rlim_max = files.rlim_max}, old;
    OK(prlimit(getpid(), RLIMIT_NOFILE, &few, &old));
    CHECK(old.rlim_cur == files.rlim_cur);
    int fd, opened = 0;
    while ((fd = open("/dev/null", O_RDONLY)) >= 0) opened++;
    CHECK(errno == EMFILE && opened <= 2);
    printf("opened %d until EMFILE\n", opened);
    struct rlimit wrong = {.rlim_cur = 10, .rlim_max = 9};
    FAILS(EINVAL, setrlimit(RLIMIT_NOFILE, &wrong));
    OK(setrlimit(RLIMIT_NOFILE, &files));
    OK(open("/dev/null", O_RDONLY));
    return 0;
}

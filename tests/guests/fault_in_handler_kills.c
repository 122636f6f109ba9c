// signal: 7
// A fault within the handler of that fault, not deferred by it: fatal; the handler's first part has run.
#include "guest.h"

static char *mapped;

static void on_fault(int signal) {
    dprintf(1, "signal %d\n", signal);
    CHECK(*(volatile char *)mapped == 0);
}

int main(void) {
    handle(SIGBUS, on_fault, 0);
    int fd = OK(open("empty", O_RDWR | O_CREAT | O_TRUNC, 0600));
    mapped = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
    return *(volatile char *)mapped;
}

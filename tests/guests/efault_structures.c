// Structures that reach into memory that is not there: EFAULT, and what the kernel has written up to that point.
// output: fixed
#include "guest.h"

#include <sys/socket.h>
#include <sys/utsname.h>

static char *edge;

static void show(const char *name, long result, int error) {
    unsigned sum = 0;
    for (int i = 0; i < 16; i++) sum += edge[i - 16] == '.';
    printf("%s: %ld (%s), %s\n", name, result, result < 0 ? strerrorname_np(error) : "", sum == 16 ? "untouched" : "touched");
    memset(edge - 64, '.', 64);
}

#define SHOW(call)                                                                                              \
    do {                                                                                                        \
        long result_ = (call);                                                                                  \
        show(#call, result_, errno);                                                                            \
    } while (0)

int main(void) {
    char *area = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(munmap(area + 4096, 4096));
    edge = area + 4096;
    memset(edge - 64, '.', 64);
    int pair[2];
    SHOW(syscall(SYS_uname, edge - 16));
    SHOW(syscall(SYS_pipe2, edge - 4, 0));
    SHOW(syscall(SYS_prlimit64, 0, 7, NULL, edge - 8));
    SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, edge - 8) < 0 ? -1 : 0);
    SHOW(syscall(SYS_getresuid, edge - 8, edge - 4, edge));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK(write(pair[0], "0123456789", 10) == 10);
    struct iovec parts[] = {{edge - 16, 4}, {edge - 2, 6}};
    SHOW(readv(pair[1], parts, 2));
    CHECK(write(pair[0], "0123456789", 10) == 10);
    SHOW(recv(pair[1], edge - 3, 6, MSG_DONTWAIT));
    return 0;
}

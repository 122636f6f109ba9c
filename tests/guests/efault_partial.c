// A buffer of which only the first bytes are there: short counts from files, EFAULT from pipes and sockets, and
// what the kernel has written all the same.
// output: fixed
#include "guest.h"

#include <sys/socket.h>

static char *edge;

static void show(const char *name, long result) {
    printf("%s: %ld, then %.6s\n", name, result, edge);
    memset(edge, '.', 6);
}

int main(void) {
    char *area = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(munmap(area + 4096, 4096));
    edge = area + 4090;
    memcpy(edge, "abcdef", 6);
    int fd = file_with("data", ""), ends[2], pair[2];
    show("write to a file", syscall(SYS_write, fd, edge, 10));
    CHECK(pwrite(fd, "0123456789", 10, 0) == 10);
    show("read of a file", syscall(SYS_pread64, fd, edge, 10, 0));
    OK(pipe(ends));
    CHECK(write(ends[1], "ABCDEFGHIJ", 10) == 10);
    show("read of a pipe", syscall(SYS_read, ends[0], edge, 10));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK(write(pair[1], "KLMNOPQRST", 10) == 10);
    show("read of a socket", syscall(SYS_read, pair[0], edge, 10));
    show("the same again", recv(pair[0], edge, 4, MSG_DONTWAIT));
    return 0;
}

// EFAULT: bad pointers into many calls.
// output: fixed
#include "guest.h"

#include <sys/socket.h>

#define BAD ((void *)8)

int main(void) {
    char *area = OK(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(munmap(area + 4096, 4096));
    memset(area, 'm', 4096);
    int fd = OK(open("data", O_RDWR | O_CREAT | O_TRUNC, 0644)), ends[2];
    FAILS(EFAULT, syscall(SYS_open, BAD, O_RDONLY));
    FAILS(EFAULT, syscall(SYS_write, fd, BAD, 5));
    FAILS(EFAULT, syscall(SYS_newfstatat, AT_FDCWD, ".", BAD, 0));
    FAILS(EFAULT, syscall(SYS_clock_gettime, CLOCK_REALTIME, BAD));
    FAILS(EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, BAD, NULL, 8));
    FAILS(EFAULT, syscall(SYS_getcwd, BAD, 4096));
    FAILS(EFAULT, syscall(SYS_writev, fd, BAD, 2));
    OK(pipe(ends));
    FAILS(EFAULT, syscall(SYS_read, ends[0], BAD, 0) == 0 ? syscall(SYS_write, ends[1], BAD, 1) : 0);
    FAILS(EFAULT, syscall(SYS_bind, OK(socket(AF_INET, SOCK_STREAM, 0)), BAD, 16));
    FAILS(EFAULT, syscall(SYS_access, area + 4090, F_OK));
    return 0;
}

// Flags and commands that no kernel knows: EINVAL from every call, and nothing has happened.
#include "guest.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

int main(void) {
    int ends[2];
    char *area = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    area[0] = 'k';
    FAILS(EINVAL, access("/", 0xff));
    FAILS(EINVAL, madvise(area, 4096, 12345));
    FAILS(EINVAL, pipe2(ends, 0x12345));
    FAILS(EINVAL, eventfd(0, 0x12345));
    FAILS(EINVAL, epoll_create1(0x12345));
    FAILS(EINVAL, socket(AF_INET, SOCK_STREAM | 0x100000, 0));
    FAILS(EINVAL, fcntl(0, 7777));
    FAILS(EINVAL, syscall(SYS_prlimit64, 0, 99, NULL, NULL));
    FAILS(EINVAL, syscall(SYS_statx, AT_FDCWD, "/", 0, 0x80000000u, area));
    FAILS(EINVAL, syscall(SYS_getrandom, area, 1, 0x80));
    CHECK(area[0] == 'k');
    return 0;
}

// Pointers to memory that is not there, cannot be written, or ends in the midst, through a patched site: the kernel's own errors
// and the kernel's own partial results.
// output: fixed
// fast: 20
#include "site.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>

int main(void) {
    // Two pages: one that can be written, and nothing behind it. One that can only be read, behind one that can be written.
    // The first is far below the end of the address space: lengths count from there.
    char *half = mmap((void *)0x200000000000, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    char *fixed = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(half != MAP_FAILED && fixed != MAP_FAILED);
    OK(munmap(half + 4096, 4096));
    memset(fixed, 'f', 8192);
    OK(mprotect(fixed + 4096, 4096, PROT_READ));
    char *const nowhere = (char *)0x300000;
    int file = file_with("file", ""), ends[2], pair[2];
    for (int i = 0; i < 4; i++) CHECK(write(file, fixed, 8192) == 8192);
    OK(pipe2(ends, O_NONBLOCK));
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    warm_up();
    for (int round = 0; round < 2; round++) {
        memset(half, 'h', 4096);
        OK(lseek(file, 0, SEEK_SET));
        SAYS(CALL(read, file, nowhere, 10));
        SAYS(CALL(read, file, fixed + 4096, 10));
        SAYS(CALL(read, file, fixed + 4000, 200));
        SAYS(CALL(read, file, half + 4000, 200));
        SAYS(CALL(read, file, half + 4096, 1));
        SAYS(CALL(read, file, half, 0x7ffff000));
        SAYS(CALL(read, file, half, -1));
        SAYS(CALL(read, file, -1, 10));
        SAYS(CALL(read, file, 0xffff800000000000, 10));
        SAYS(CALL(read, file, nowhere, 0));
        SAYS(CALL(pread64, file, half + 4000, 200, 50));
        SAYS(CALL(pread64, file, half, 5, -1));
        print_hex("half", half + 3990, 106);
        print_hex("fixed", fixed + 3990, 110);
        memset(half, 'w', 4096);
        SAYS(CALL(write, ends[1], nowhere, 10));
        SAYS(CALL(write, ends[1], half + 4000, 200));
        SAYS(CALL(write, ends[1], half + 4090, 6));
        SAYS(CALL(write, file, half + 4000, 200));
        SAYS(CALL(write, file, half, -1));
        SAYS(CALL(write, file, half + 4096, 0x7ffff000));
        char back[512];
        SAYS(CALL(read, ends[0], back, sizeof back));

        struct iovec vector[1025];
        for (int i = 0; i < 1025; i++) vector[i] = (struct iovec){fixed + i, 1};
        SAYS(CALL(writev, ends[1], vector, 0));
        SAYS(CALL(writev, ends[1], vector, 1024));
        SAYS(CALL(writev, ends[1], vector, 1025));
        SAYS(CALL(writev, ends[1], vector, -1));
        SAYS(CALL(writev, ends[1], nowhere, 2));
        SAYS(CALL(writev, ends[1], half + 4088, 1));
        SAYS(CALL(writev, ends[1], nowhere, 0));
        SAYS(CALL(readv, ends[0], nowhere, 1));
        SAYS(CALL(readv, ends[0], vector, 1000));
        SAYS(CALL(readv, ends[0], vector, 1025));
        SAYS(CALL(read, ends[0], back, sizeof back));
        struct iovec bad[4] = {{fixed, 10}, {nowhere, 10}, {fixed, 10}, {fixed, 0}};
        SAYS(CALL(writev, ends[1], bad, 3));
        SAYS(CALL(readv, file, bad, 3));
        OK(lseek(file, 0, SEEK_SET));
        SAYS(CALL(readv, file, bad, 3));
        SAYS(CALL(readv, ends[0], bad, 1));
        bad[1] = (struct iovec){half + 4090, 100};
        SAYS(CALL(writev, ends[1], bad, 3));
        SAYS(CALL(readv, file, bad, 3));
        SAYS(CALL(read, ends[0], back, sizeof back));
        bad[1] = (struct iovec){fixed, (size_t)-1};
        SAYS(CALL(writev, ends[1], bad, 3));
        bad[1] = (struct iovec){nowhere, 0};
        SAYS(CALL(writev, ends[1], bad, 2));
        SAYS(CALL(readv, ends[0], bad, 2));

        OK(send(pair[0], "datagram", 8, 0));
        SAYS(CALL(recvfrom, pair[1], half + 4090, 100, MSG_PEEK | MSG_DONTWAIT));
        SAYS(CALL(recvfrom, pair[1], nowhere, 100, MSG_DONTWAIT));
        SAYS(CALL(recvfrom, pair[1], back, 100, MSG_DONTWAIT));
        SAYS(CALL(sendto, pair[0], nowhere, 10, 0));
        SAYS(CALL(sendto, pair[0], half + 4090, 10, 0));

        // In and out at once: a part of it is written before the fault.
        struct pollfd *ready = (struct pollfd *)(half + 4096) - 3;
        for (int i = 0; i < 3; i++) ready[i] = (struct pollfd){ends[1], POLLOUT, 0};
        SAYS(CALL(poll, ready, 3, 0));
        SAYS(CALL(poll, ready, 4, 0));
        SAYS(CALL(poll, nowhere, 1, 0));
        SAYS(CALL(poll, nowhere, 0, 0));
        SAYS(CALL(poll, ready, 5000, 0));
        OK(mprotect(fixed + 4096, 4096, PROT_READ | PROT_WRITE));
        ready = (struct pollfd *)(fixed + 4096) - 40;
        for (int i = 0; i < 80; i++) ready[i] = (struct pollfd){ends[1], POLLOUT, 0};
        OK(mprotect(fixed + 4096, 4096, PROT_READ));
        SAYS(CALL(poll, ready, 80, 0));
        print_hex("ready", ready, 80 * sizeof *ready);
        fd_set *sets = (fd_set *)(fixed + 4096) - 1;
        FD_ZERO(sets);
        FD_SET(ends[0], sets);
        FD_SET(file, sets);
        SAYS(CALL(select, 64, sets, sets + 1, 0, 0));
        print_hex("set", sets, 8);
        struct timeval *now = (struct timeval *)(fixed + 4096);
        SAYS(CALL(gettimeofday, now, 0));
        SAYS(CALL(clock_gettime, CLOCK_REALTIME, now));
        SAYS(CALL(clock_gettime, CLOCK_REALTIME, (char *)now - 8));
        SAYS(CALL(clock_gettime, 1000, back));
        SAYS(CALL(clock_gettime, -1, back));
        SAYS(CALL(nanosleep, nowhere, 0));
        struct timespec no_time = {0, 0};
        SAYS(CALL(nanosleep, &no_time, nowhere));
        SAYS(CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, &no_time, nowhere));
        SAYS(CALL(ppoll, nowhere, 0, &no_time, 0));
        struct timespec bad_time = {0, 1000000000};
        SAYS(CALL(nanosleep, &bad_time, 0));
        int set = OK(epoll_create1(0));
        struct epoll_event event = {.events = EPOLLOUT, .data.u64 = 7};
        SAYS(CALL(epoll_ctl, set, EPOLL_CTL_ADD, ends[1], nowhere));
        SAYS(CALL(epoll_ctl, set, EPOLL_CTL_ADD, ends[1], &event));
        SAYS(CALL(epoll_wait, set, nowhere, 1, 0));
        SAYS(CALL(epoll_wait, set, fixed + 4096, 1, 0));
        SAYS(CALL(epoll_wait, set, fixed + 4092, 1, 0));
        OK(close(set));
        SAYS(CALL(newfstatat, AT_FDCWD, nowhere, back, 0));
        SAYS(CALL(newfstatat, AT_FDCWD, half + 4095, back, 0));
        SAYS(CALL(newfstatat, AT_FDCWD, "file", fixed + 4096, 0));
        SAYS(CALL(newfstatat, AT_FDCWD, "file", half + 4000, 0));
        SAYS(CALL(fstat, file, fixed + 4000));
        SAYS(CALL(getrandom, nowhere, 10, 0));
        SAYS(CALL(getrandom, fixed + 4096, 10, 0));
        SAYS(CALL(futex, 1, 1, 1));
        SAYS(CALL(futex, nowhere, 129, 1));
    }
    return 0;
}

// The bounds of lengths, counts and descriptors, through a patched site.
// output: fixed
// fast: 30
#include "site.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

static char large[3 << 20];

int main(void) {
    int file = file_with("file", ""), ends[2], pair[2], stream[2];
    OK(pipe(ends));
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
    for (size_t i = 0; i < sizeof large; i++) large[i] = (char)(i * 7 + i / 4096);
    CHECK(write(file, large, sizeof large) == sizeof large);
    warm_up();
    static char back[3 << 20];
    for (int round = 0; round < 2; round++) {
        // Around the longest record, and around where copies change their way.
        size_t lengths[] = {0, 1, 7, 8, 9, 255, 256, 257, 4096, (1 << 20) - 100, (1 << 20) - 24, 1 << 20, (1 << 20) + 1, 3 << 20};
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            memset(back, 0, sizeof back);
            OK(lseek(file, 0, SEEK_SET));
            CHECK(CALL(read, file, back, lengths[i]) == (long)lengths[i]);
            CHECK(!memcmp(back, large, lengths[i]));
            CHECK(CALL(pwrite64, file, large, lengths[i], 0) == (long)lengths[i]);
            struct iovec parts[3] = {{back, lengths[i] / 2}, {back, 0}, {back + lengths[i] / 2, lengths[i] - lengths[i] / 2}};
            memset(back, 0, sizeof back);
            OK(lseek(file, 0, SEEK_SET));
            CHECK(CALL(readv, file, parts, 3) == (long)lengths[i]);
            CHECK(!memcmp(back, large, lengths[i]));
            OK(lseek(file, 0, SEEK_SET));
            CHECK(CALL(writev, file, parts, 3) == (long)lengths[i]);
        }
        printf("files\n");
        // More room than there are bytes.
        SAYS(CALL(pread64, file, back, sizeof back, (3 << 20) - 10));
        SAYS(CALL(pread64, file, back, 100, (3 << 20) - 10));
        SAYS(CALL(read, ends[0], back, 0));
        SAYS(CALL(write, ends[1], back, 0));
        int descriptors[] = {-1, -100, 1000, 1023, 1024, 16383, 16384, 1 << 20, 0x7fffffff, (int)0x80000000};
        for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
            CHECK(CALL(read, descriptors[i], back, 1) == -EBADF);
            CHECK(CALL(write, descriptors[i], back, 1) == -EBADF);
            CHECK(CALL(fcntl, descriptors[i], F_GETFL) == -EBADF);
            CHECK(CALL(epoll_wait, descriptors[i], back, 1, 0) == -EBADF);
            CHECK(CALL(close, descriptors[i]) == -EBADF);
        }
        // Only the lower half of the register is a descriptor.
        SAYS(CALL(write, 0x500000000 + ends[1], "abc", 3));
        SAYS(CALL(read, 0x700000000 + ends[0], back, 3));
        printf("descriptors\n");

        int set = OK(epoll_create1(0));
        struct epoll_event event = {.events = EPOLLOUT}, *events = (struct epoll_event *)back;
        OK(epoll_ctl(set, EPOLL_CTL_ADD, ends[1], &event));
        int maximum[] = {0, -1, 1, 2, 1000, 87381, 87382, 178956970, 178956971, 0x7fffffff, (int)0x80000000};
        for (size_t i = 0; i < sizeof maximum / sizeof *maximum; i++)
            printf("epoll_wait of %d: %ld\n", maximum[i], CALL(epoll_wait, set, events, maximum[i], 0));
        OK(close(set));

        struct rlimit limit;
        OK(getrlimit(RLIMIT_NOFILE, &limit));
        limit.rlim_cur = 4096;
        OK(setrlimit(RLIMIT_NOFILE, &limit));
        static struct pollfd ready[5000];
        for (int i = 0; i < 5000; i++) ready[i] = (struct pollfd){i % 3 ? -1 : ends[1], POLLOUT, (short)i};
        SAYS(CALL(poll, ready, 0, 0));
        SAYS(CALL(poll, ready, 4096, 0));
        SAYS(CALL(poll, ready, 5000, 0));
        SAYS(CALL(poll, ready, -1, 0));
        for (int i = 0; i < 4096; i++) CHECK(ready[i].revents == (i % 3 ? 0 : POLLOUT));
        struct timespec no_time = {0, 0};
        SAYS(CALL(ppoll, ready, 5, &no_time, 0));
        printf("counts\n");

        OK(send(pair[0], "a datagram", 10, 0));
        OK(send(pair[0], "another", 7, 0));
        memset(back, '.', 20);
        SAYS(CALL(recvfrom, pair[1], back, 3, MSG_PEEK));
        SAYS(CALL(recvfrom, pair[1], back, 3, MSG_PEEK | MSG_TRUNC));
        SAYS(CALL(recvfrom, pair[1], back, 3, MSG_TRUNC));
        SAYS(CALL(recvfrom, pair[1], back, 3));
        SAYS(CALL(recvfrom, pair[1], back, 3, MSG_DONTWAIT));
        CHECK(!memcmp(back, "ano.", 4));
        OK(send(pair[0], "", 0, 0));
        SAYS(CALL(recvfrom, pair[1], back, 3));
        SAYS(CALL(sendto, stream[0], "stream", 6, MSG_NOSIGNAL));
        SAYS(CALL(recvfrom, stream[1], back, 100, MSG_PEEK));
        SAYS(CALL(recvfrom, stream[1], back, 6, MSG_WAITALL));
        SAYS(CALL(recvfrom, stream[1], back, 6, MSG_DONTWAIT));
        SAYS(CALL(recvfrom, stream[1], back, 0, MSG_DONTWAIT));
        SAYS(CALL(getrandom, back, 0, 0));
        SAYS(CALL(getrandom, back, 256, 0));
        SAYS(CALL(getrandom, back, 2 << 20, 0));
        SAYS(CALL(getrandom, back, 1, 0x80));
        SAYS(CALL(lseek, file, -1, SEEK_SET));
        SAYS(CALL(lseek, ends[0], 0, SEEK_SET));
        SAYS(CALL(sched_yield));
    }
    return 0;
}

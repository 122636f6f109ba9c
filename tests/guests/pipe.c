// pipe2(2): O_CLOEXEC and O_NONBLOCK, a full pipe, end of file, EPIPE.
#include "guest.h"

int main(void) {
    int ends[2];
    OK(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    printf("%d %d\n", ends[0], ends[1]);
    CHECK(fcntl(ends[1], F_GETFD) == FD_CLOEXEC);
    static char block[10000];
    memset(block, 'p', sizeof block);
    long total = 0, n;
    while ((n = write(ends[1], block, sizeof block)) > 0) total += n;
    CHECK(errno == EAGAIN);
    printf("%ld bytes fit\n", total);
    long back = 0;
    while ((n = read(ends[0], block, sizeof block)) > 0) back += n;
    CHECK(back == total && errno == EAGAIN);
    CHECK(write(ends[1], "last", 4) == 4);
    OK(close(ends[1]));
    CHECK(read(ends[0], block, sizeof block) == 4);
    CHECK(read(ends[0], block, sizeof block) == 0);
    OK(pipe(ends));
    OK(close(ends[0]));
    signal(SIGPIPE, SIG_IGN);
    FAILS(EPIPE, write(ends[1], "x", 1));
    FAILS(EFAULT, syscall(SYS_pipe2, 8, 0));
    return 0;
}

// fcntl(2): F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD, F_DUPFD_CLOEXEC.
#include "guest.h"

int main(void) {
    int fd = file_with("data", "text");
    CHECK(fcntl(fd, F_GETFD) == 0);
    OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    int copy = OK(fcntl(fd, F_DUPFD, 20)), closing = OK(fcntl(fd, F_DUPFD_CLOEXEC, 20));
    printf("copies %d %d\n", copy, closing);
    CHECK(copy == 20 && closing == 21);
    CHECK(fcntl(copy, F_GETFD) == 0 && fcntl(closing, F_GETFD) == FD_CLOEXEC);
    printf("flags %o\n", (unsigned)fcntl(fd, F_GETFL));
    OK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    CHECK((fcntl(copy, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE)) == (O_APPEND | O_NONBLOCK | O_RDWR));
    OK(lseek(copy, 0, SEEK_SET));
    CHECK(write(copy, "+", 1) == 1 && lseek(fd, 0, SEEK_CUR) == 5);
    int ends[2];
    char c;
    OK(pipe(ends));
    OK(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    FAILS(EAGAIN, read(ends[0], &c, 1));
    printf("pipe of %d bytes\n", OK(fcntl(ends[0], F_GETPIPE_SZ)));
    FAILS(EBADF, fcntl(99, F_GETFD));
    FAILS(EINVAL, fcntl(fd, F_DUPFD, -1));
    return 0;
}

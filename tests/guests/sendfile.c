// sendfile(2): from a file into a pipe, a socket and another file, with and without an offset of its own.
#include "loopback.h"

#include <sys/sendfile.h>

int main(void) {
    int fd = file_with("data", "0123456789"), copy = OK(creat("copy", 0644)), ends[2], pair[2];
    char text[16] = "";
    OK(pipe(ends));
    off_t offset = 3;
    CHECK(sendfile(ends[1], fd, &offset, 4) == 4 && offset == 7);
    CHECK(lseek(fd, 0, SEEK_CUR) == 10);
    CHECK(read(ends[0], text, sizeof text) == 4);
    printf("pipe: %s\n", text);
    OK(lseek(fd, 0, SEEK_SET));
    tcp_pair(pair);
    CHECK(sendfile(pair[0], fd, NULL, 100) == 10);
    CHECK(recv(pair[1], text, 10, MSG_WAITALL) == 10);
    printf("socket: %.10s\n", text);
    CHECK(sendfile(pair[0], fd, NULL, 100) == 0);
    offset = 8;
    CHECK(sendfile(copy, fd, &offset, 100) == 2);
    CHECK(lseek(copy, 0, SEEK_CUR) == 2);
    offset = 0;
    CHECK(sendfile(1, fd, &offset, 9) == 9);
    CHECK(write(1, "\n", 1) == 1);
    FAILS(EBADF, sendfile(99, fd, &offset, 1));
    FAILS(EBADF, sendfile(ends[1], 99, NULL, 1));
    FAILS(EINVAL, sendfile(ends[1], ends[0], NULL, 1));
    return 0;
}

// All descriptors from 3 on: closed, taken by dup2(2), used through a patched site, closed again, in several ways.
// output: fixed
// fast: 3000
#include "site.h"

#include <sys/resource.h>

int main(void) {
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 1024;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    warm_up();
    int closed = 0;
    for (int fd = 3; fd < 1024; fd++) closed += CALL(close, fd) == 0;
    printf("%d were open\n", closed);
    for (int round = 0; round < 2; round++) {
        int ends[2];
        OK(pipe(ends));
        CHECK(ends[0] == 3 && ends[1] == 4);
        for (int fd = 5; fd < 1024; fd++) CHECK(CALL(dup2, fd % 2 ? ends[0] : ends[1], fd) == fd);
        FAILS(EMFILE, dup(0));
        FAILS(EMFILE, open("file", O_RDWR | O_CREAT, 0644));
        FAILS(EBADF, dup2(0, 1024));
        for (int fd = 5; fd < 1024; fd += 2) {
            char byte = 0, expected = (char)fd;
            CHECK(CALL(write, fd - 1, &expected, 1) == 1);
            CHECK(CALL(read, fd, &byte, 1) == 1 && byte == expected);
            CHECK(CALL(write, fd, &byte, 1) == -EBADF);
            CHECK(CALL(read, fd - 1, &byte, 1) == -EBADF);
        }
        // Files over pipes: what may be done in process changes with the object.
        CHECK(CALL(close, 1000) == 0);
        int file = OK(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
        CHECK(file == 1000);
        for (int fd = 500; fd < 520; fd++) CHECK(CALL(dup2, file, fd) == fd);
        for (int fd = 500; fd < 520; fd++) CHECK(CALL(write, fd, "text", 4) == 4);
        CHECK(CALL(lseek, file, 0, SEEK_CUR) == 80);
        for (int fd = 3; fd < 1024; fd += 2) CHECK(CALL(close, fd) == 0);
        OK(syscall(SYS_close_range, 3, 1023, 0));
        for (int fd = 3; fd < 1024; fd++) CHECK(CALL(read, fd, &limit, 1) == -EBADF);
    }
    printf("done\n");
    return 0;
}

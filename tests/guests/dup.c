// dup(2), dup2(2), dup3(2): one offset behind several numbers, a number replaced, stdout moved away and back.
#include "guest.h"

int main(void) {
    int fd = file_with("data", "abcdefghij");
    int copy = OK(dup(fd));
    OK(lseek(fd, 3, SEEK_SET));
    char c;
    CHECK(read(copy, &c, 1) == 1 && c == 'd');
    CHECK(dup2(fd, 50) == 50);
    CHECK(read(50, &c, 1) == 1 && c == 'e');
    CHECK(dup2(fd, fd) == fd);
    CHECK(dup3(fd, 51, O_CLOEXEC) == 51 && fcntl(51, F_GETFD) == FD_CLOEXEC);
    FAILS(EINVAL, dup3(fd, fd, 0));
    FAILS(EBADF, dup(99));
    FAILS(EBADF, dup2(99, 3));
    FAILS(EBADF, dup2(fd, -1));
    fflush(stdout);
    int out = OK(dup(1));
    int file = OK(creat("out", 0644));
    CHECK(dup2(file, 1) == 1);
    printf("this goes into the file\n");
    fflush(stdout);
    CHECK(dup2(out, 1) == 1);
    struct stat s;
    OK(fstat(file, &s));
    printf("the file has %ld bytes\n", s.st_size);
    CHECK(s.st_size == 24);
    dprintf(out, "and this goes to stdout through %d\n", out);
    return 0;
}

// ENOENT, EBADF, EINVAL, ENAMETOOLONG, ENOSYS and others from common calls: errors are results like any other.
// output: fixed
#include "guest.h"

int main(void) {
    char text[8], long_name[400];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    FAILS(ENOENT, open("", O_RDONLY));
    FAILS(ENAMETOOLONG, open(long_name, O_RDONLY));
    FAILS(EBADF, read(998, text, 1));
    FAILS(EBADF, write(999, text, 1));
    FAILS(EBADF, close(999));
    FAILS(EBADF, lseek(999, 0, SEEK_SET));
    FAILS(EBADF, fchdir(999));
    FAILS(EISDIR, read(OK(open(".", O_RDONLY)), text, 1));
    FAILS(EBADF, write(OK(open(".", O_RDONLY)), text, 1));
    FAILS(EBADF, read(OK(creat("file", 0600)), text, 1));
    FAILS(EINVAL, readlink(".", text, sizeof text));
    FAILS(EBUSY, rename(".", "other"));
    FAILS(EINVAL, munmap((void *)1, 4096));
    FAILS(EXDEV, rename("file", "/proc/file"));
    for (int i = 0; i < 12; i++) printf("%d: %s\n", i, strerror(i));
    return 0;
}

// openat(2): flags, directory descriptors, the lowest free number, and the errors.
#include "guest.h"

int main(void) {
    OK(mkdir("dir", 0755));
    int dir = OK(open("dir", O_RDONLY | O_DIRECTORY));
    int fd = OK(openat(dir, "file", O_WRONLY | O_CREAT | O_EXCL, 0640));
    CHECK(write(fd, "one", 3) == 3);
    OK(close(fd));
    FAILS(EEXIST, openat(dir, "file", O_WRONLY | O_CREAT | O_EXCL, 0640));
    fd = OK(openat(dir, "file", O_RDWR | O_APPEND));
    CHECK(write(fd, "two", 3) == 3);
    char text[16] = "";
    CHECK(pread(fd, text, sizeof text, 0) == 6);
    printf("dir %d file %d: %s\n", dir, fd, text);
    OK(close(dir));
    CHECK(OK(open("dir/file", O_RDONLY | O_CLOEXEC)) == dir);
    OK(close(open("dir/file", O_WRONLY | O_TRUNC)));
    CHECK(lseek(fd, 0, SEEK_END) == 0);
    FAILS(ENOENT, open("nowhere", O_RDONLY));
    FAILS(EISDIR, open("dir", O_WRONLY));
    FAILS(ENOTDIR, open("dir/file/x", O_RDONLY));
    OK(symlink("dir", "link"));
    FAILS(ELOOP, open("link", O_RDONLY | O_NOFOLLOW));
    int path = OK(open("dir", O_PATH));
    FAILS(EBADF, read(path, text, 1));
    return 0;
}

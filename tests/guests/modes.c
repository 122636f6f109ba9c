// chmod(2), fchmod(2), umask(2), chown(2), fchown(2).
#include "guest.h"

static mode_t mode_of(const char *path) {
    struct stat s;
    OK(stat(path, &s));
    return s.st_mode & 07777;
}

int main(void) {
    mode_t before = umask(027);
    printf("umask before %03o\n", before);
    int fd = OK(open("file", O_RDWR | O_CREAT, 0666));
    CHECK(mode_of("file") == 0640);
    CHECK(umask(0) == 027);
    OK(mkdir("dir", 01777));
    CHECK(mode_of("dir") == 01777 || mode_of("dir") == 0777);
    OK(chmod("file", 0400));
    CHECK(mode_of("file") == 0400);
    OK(fchmod(fd, 0751));
    CHECK(mode_of("file") == 0751);
    OK(chown("file", getuid(), getgid()));
    OK(fchown(fd, (uid_t)-1, getegid()));
    struct stat s;
    OK(fstat(fd, &s));
    printf("%o %u:%u\n", s.st_mode, s.st_uid, s.st_gid);
    printf("chown to 0: %d\n", chown("file", 0, 0));
    FAILS(ENOENT, chmod("nowhere", 0644));
    FAILS(EBADF, fchmod(77, 0644));
    FAILS(ENOENT, chown("nowhere", 0, 0));
    return 0;
}

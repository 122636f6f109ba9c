// utimensat(2), futimens(3), utimes(2), utime(2): set times, UTIME_NOW and UTIME_OMIT, times of a link itself.
#include "guest.h"

#include <utime.h>

static void show(const char *path, int flags) {
    struct stat is;
    OK(fstatat(AT_FDCWD, path, &is, flags));
    printf("%s: %ld.%09ld %ld.%09ld\n", path, is.st_atim.tv_sec, is.st_atim.tv_nsec, is.st_mtim.tv_sec, is.st_mtim.tv_nsec);
}

int main(void) {
    int fd = file_with("file", "text");
    struct stat is;
    OK(symlink("file", "link"));
    struct timespec times[] = {{1000000000, 123456789}, {2000000000, 987654321}};
    OK(utimensat(AT_FDCWD, "file", times, 0));
    OK(fstat(fd, &is));
    CHECK(is.st_atim.tv_sec == 1000000000 && is.st_mtim.tv_nsec == 987654321);
    show("file", 0);
    times[0].tv_nsec = UTIME_OMIT;
    times[1].tv_nsec = UTIME_NOW;
    OK(futimens(fd, times));
    OK(fstat(fd, &is));
    CHECK(is.st_atim.tv_sec == 1000000000 && is.st_mtim.tv_sec != 2000000000);
    show("file", 0);
    struct timeval coarse[] = {{3000, 4}, {5000, 6}};
    OK(utimes("file", coarse));
    OK(fstat(fd, &is));
    CHECK(is.st_atim.tv_sec == 3000 && is.st_mtim.tv_nsec == 6000);
    OK(utime("file", &(struct utimbuf){77, 88}));
    OK(fstat(fd, &is));
    CHECK(is.st_atim.tv_sec == 77 && is.st_mtim.tv_sec == 88 && is.st_mtim.tv_nsec == 0);
    struct timespec own[] = {{11, 0}, {22, 0}};
    OK(utimensat(AT_FDCWD, "link", own, AT_SYMLINK_NOFOLLOW));
    show("link", AT_SYMLINK_NOFOLLOW);
    show("link", 0);
    OK(utimensat(AT_FDCWD, "file", NULL, 0));
    show("file", 0);
    FAILS(EINVAL, utimensat(AT_FDCWD, "file", (struct timespec[]){{1, 1000000000}, {1, 0}}, 0));
    FAILS(ENOENT, utimensat(AT_FDCWD, "nothing", NULL, 0));
    return 0;
}

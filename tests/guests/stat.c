// stat(2), lstat(2), fstat(2), newfstatat(2): all fields of a file, a directory, a link, a device.
#include "guest.h"

static void show(const char *name, const struct stat *s) {
    printf("%s: dev %lu ino %lu mode %o links %lu uid %u gid %u size %ld blocks %ld mtime %ld.%09ld\n", name,
           s->st_dev, s->st_ino, s->st_mode, s->st_nlink, s->st_uid, s->st_gid, s->st_size, s->st_blocks,
           s->st_mtim.tv_sec, s->st_mtim.tv_nsec);
}

int main(void) {
    struct stat here, link, opened, at, null;
    int fd = file_with("here", "12345");
    OK(symlink("here", "link"));
    OK(stat("link", &here));
    OK(lstat("link", &link));
    OK(fstat(fd, &opened));
    OK(fstatat(AT_FDCWD, "link", &at, AT_SYMLINK_NOFOLLOW));
    OK(stat("/dev/null", &null));
    CHECK(here.st_ino == opened.st_ino && here.st_size == 5 && S_ISREG(here.st_mode));
    CHECK(link.st_ino == at.st_ino && S_ISLNK(link.st_mode) && S_ISCHR(null.st_mode));
    show("here", &here);
    show("link", &link);
    show("null", &null);
    OK(fstatat(fd, "", &at, AT_EMPTY_PATH));
    CHECK(at.st_ino == here.st_ino);
    FAILS(ENOENT, stat("nowhere", &at));
    FAILS(EBADF, fstat(99, &at));
    return 0;
}

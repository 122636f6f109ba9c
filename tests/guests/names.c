// link(2), symlink(2), readlink(2), rename(2), unlink(2), renameat2(2): names come and go, the file stays.
#include "guest.h"

int main(void) {
    int fd = file_with("a", "content");
    OK(link("a", "b"));
    OK(symlink("b", "s"));
    struct stat s;
    OK(fstat(fd, &s));
    CHECK(s.st_nlink == 2);
    char target[16] = "";
    CHECK(readlink("s", target, sizeof target) == 1);
    printf("s -> %s, inode %lu\n", target, s.st_ino);
    OK(rename("b", "c"));
    FAILS(ENOENT, access("s", F_OK));
    OK(close(file_with("d", "other")));
    OK(renameat2(AT_FDCWD, "c", AT_FDCWD, "d", RENAME_EXCHANGE));
    FAILS(EEXIST, renameat2(AT_FDCWD, "c", AT_FDCWD, "d", RENAME_NOREPLACE));
    OK(unlink("a"));
    OK(unlink("d"));
    OK(fstat(fd, &s));
    CHECK(s.st_nlink == 0);
    CHECK(pread(fd, target, sizeof target, 0) == 7);
    printf("without a name: %.7s\n", target);
    FAILS(ENOENT, unlink("a"));
    FAILS(EEXIST, symlink("x", "c"));
    FAILS(EINVAL, readlink("c", target, sizeof target));
    FAILS(ENOENT, link("a", "z"));
    return 0;
}

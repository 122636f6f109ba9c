// statx(2): asked fields, birth time, attributes, and an empty path.
#include "guest.h"

int main(void) {
    int fd = file_with("file", "1234567");
    struct statx s;
    OK(statx(AT_FDCWD, "file", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &s));
    printf("mask %x ino %llu mode %o size %llu dev %u:%u\n", s.stx_mask, (unsigned long long)s.stx_ino, s.stx_mode,
           (unsigned long long)s.stx_size, s.stx_dev_major, s.stx_dev_minor);
    printf("birth %lld.%09u change %lld.%09u attributes %llx\n", (long long)s.stx_btime.tv_sec,
           s.stx_btime.tv_nsec, (long long)s.stx_ctime.tv_sec, s.stx_ctime.tv_nsec,
           (unsigned long long)s.stx_attributes);
    CHECK(s.stx_size == 7);
    uint64_t inode = s.stx_ino;
    OK(statx(fd, "", AT_EMPTY_PATH, STATX_INO, &s));
    CHECK(s.stx_ino == inode);
    print_hex("whole", &s, sizeof s);
    FAILS(ENOENT, statx(AT_FDCWD, "nowhere", 0, STATX_BASIC_STATS, &s));
    return 0;
}

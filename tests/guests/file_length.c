// ftruncate(2), truncate(2), fallocate(2) with a hole and KEEP_SIZE.
#include "guest.h"

static long size_of(int fd) {
    struct stat s;
    OK(fstat(fd, &s));
    printf("size %ld blocks %ld\n", s.st_size, s.st_blocks);
    return s.st_size;
}

int main(void) {
    int fd = file_with("data", "0123456789");
    char text[16];
    OK(ftruncate(fd, 4));
    CHECK(size_of(fd) == 4 && lseek(fd, 0, SEEK_CUR) == 10);
    OK(truncate("data", 8192));
    CHECK(size_of(fd) == 8192);
    CHECK(pread(fd, text, 8, 0) == 8);
    print_hex("grown", text, 8);
    CHECK(memcmp(text, "0123\0\0\0\0", 8) == 0);
    printf("fallocate: %d\n", fallocate(fd, 0, 0, 16384));
    size_of(fd);
    printf("keep size: %d\n", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 65536));
    size_of(fd);
    printf("punch: %d\n", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    CHECK(pread(fd, text, 4, 0) == 4);
    print_hex("punched", text, 4);
    FAILS(EINVAL, ftruncate(fd, -1));
    FAILS(EINVAL, fallocate(fd, 0, -1, 10));
    FAILS(EBADF, ftruncate(99, 10));
    return 0;
}

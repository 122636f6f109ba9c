// lseek(2): all whences, behind the end, data and holes.
#include "guest.h"

int main(void) {
    int fd = file_with("data", "0123456789");
    CHECK(lseek(fd, 0, SEEK_CUR) == 10);
    CHECK(lseek(fd, -3, SEEK_END) == 7);
    char c[3];
    CHECK(read(fd, c, 3) == 3 && memcmp(c, "789", 3) == 0);
    CHECK(lseek(fd, -8, SEEK_CUR) == 2);
    CHECK(lseek(fd, 1 << 20, SEEK_SET) == 1 << 20);
    CHECK(write(fd, "end", 3) == 3);
    printf("size %ld, hole at %ld, data at %ld\n", (long)lseek(fd, 0, SEEK_END), (long)lseek(fd, 0, SEEK_HOLE),
           (long)lseek(fd, 4096, SEEK_DATA));
    FAILS(EINVAL, lseek(fd, -1, SEEK_SET));
    FAILS(EINVAL, lseek(fd, 0, 77));
    FAILS(ENXIO, lseek(fd, 1 << 30, SEEK_DATA));
    int ends[2];
    OK(pipe(ends));
    FAILS(ESPIPE, lseek(ends[0], 0, SEEK_SET));
    int copy = OK(dup(fd));
    OK(lseek(copy, 5, SEEK_SET));
    CHECK(lseek(fd, 0, SEEK_CUR) == 5);
    return 0;
}

// preadv2(2), pwritev2(2), pread(2) and pwrite(2) at far offsets: holes, short reads, flags, IOV_MAX buffers, and bad counts.
// output: fixed
#include "guest.h"

#include <limits.h>

int main(void) {
    int fd = OK(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
    static struct iovec parts[IOV_MAX + 1];
    static char bytes[IOV_MAX + 1], back[IOV_MAX + 1];
    for (int i = 0; i <= IOV_MAX; i++) {
        bytes[i] = (char)(i * 11 + i / 256);
        parts[i] = (struct iovec){bytes + i, 1};
    }
    CHECK(pwritev(fd, parts, IOV_MAX, 100) == IOV_MAX);
    FAILS(EINVAL, pwritev(fd, parts, IOV_MAX + 1, 100));
    CHECK(pwrite(fd, "far away", 8, 1ll << 33) == 8);
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    struct stat is;
    OK(fstat(fd, &is));
    CHECK(is.st_size == (1ll << 33) + 8 && is.st_blocks < 100);
    for (int i = 0; i < IOV_MAX; i++) parts[i].iov_base = back + (IOV_MAX - 1 - i);
    CHECK(preadv(fd, parts, IOV_MAX, 100) == IOV_MAX);
    for (int i = 0; i < IOV_MAX; i++) CHECK(back[IOV_MAX - 1 - i] == bytes[i]);
    struct iovec three[] = {{back, 4}, {NULL, 0}, {back + 10, 100}};
    CHECK(preadv(fd, three, 3, (1ll << 33) - 2) == 10);
    CHECK(memcmp(back, "\0\0fa", 4) == 0 && memcmp(back + 10, "r away", 6) == 0);
    CHECK(preadv(fd, three, 3, (1ll << 33) + 8) == 0);
    // -1 stands for the descriptor's own offset.
    OK(lseek(fd, 100, SEEK_SET));
    CHECK(preadv2(fd, three, 1, -1, 0) == 4 && lseek(fd, 0, SEEK_CUR) == 104 && memcmp(back, bytes, 4) == 0);
    CHECK(pwritev2(fd, three, 1, -1, RWF_DSYNC) == 4 && lseek(fd, 0, SEEK_CUR) == 108);
    CHECK(pread(fd, back + 20, 8, 100) == 8 && memcmp(back + 20, back + 24, 4) == 0);
    FAILS(EINVAL, pread(fd, back, 1, -1));
    FAILS(EOPNOTSUPP, preadv2(fd, three, 1, 0, 1 << 30));
    int ends[2];
    OK(pipe(ends));
    FAILS(ESPIPE, pread(ends[0], back, 1, 0));
    FAILS(ESPIPE, pwritev(ends[1], three, 1, 0));
    printf("%ld\n", (long)is.st_size);
    return 0;
}

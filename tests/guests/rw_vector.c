// readv(2), writev(2), preadv(2), pwritev(2): several buffers in one call, the last one short.
#include "guest.h"

#define VEC(pointer, length) ((struct iovec){.iov_base = (pointer), .iov_len = (length)})

int main(void) {
    int fd = OK(open("data", O_RDWR | O_CREAT | O_TRUNC, 0644));
    struct iovec out[] = {VEC("one,", 4), VEC("", 0), VEC("two,", 4), VEC("three", 5)};
    CHECK(writev(fd, out, 4) == 13);
    CHECK(pwritev(fd, out + 2, 2, 20) == 9);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    char a[6] = "", b[5] = "", c[40] = "";
    struct iovec in[] = {VEC(a, 5), VEC(b, 4), VEC(c, sizeof c)};
    CHECK(readv(fd, in, 3) == 29);
    printf("%s|%s|", a, b);
    print_hex("rest", c, 20);
    CHECK(preadv(fd, in, 2, 22) == 7);
    printf("%.5s|%.2s\n", a, b);
    CHECK(preadv2(fd, in, 1, 0, 0) == 5);
    printf("%s\n", a);
    FAILS(EINVAL, syscall(SYS_readv, fd, in, -1));
    FAILS(EBADF, writev(99, out, 4));
    FAILS(EINVAL, preadv(fd, in, 1, -2));
    return 0;
}

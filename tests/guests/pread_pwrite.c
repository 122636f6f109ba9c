// pread(2), pwrite(2): at an offset, without moving the descriptor's own.
#include "guest.h"

int main(void) {
    int fd = file_with("data", "0123456789");
    CHECK(lseek(fd, 2, SEEK_SET) == 2);
    char text[32] = "";
    CHECK(pread(fd, text, 4, 5) == 4);
    printf("at 5: %s\n", text);
    CHECK(pwrite(fd, "XY", 2, 12) == 2);
    CHECK(lseek(fd, 0, SEEK_CUR) == 2);
    ssize_t got = pread(fd, text, sizeof text, 0);
    print_hex("all", text, (size_t)got);
    CHECK(got == 14 && text[10] == 0 && text[12] == 'X');
    CHECK(pread(fd, text, 4, 100) == 0);
    FAILS(EINVAL, pread(fd, text, 4, -1));
    int ends[2];
    OK(pipe(ends));
    FAILS(ESPIPE, pread(ends[0], text, 4, 0));
    return 0;
}

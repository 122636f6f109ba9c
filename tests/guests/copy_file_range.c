// copy_file_range(2): between files, with and without offsets of its own, within one file, behind the end; what it refuses.
// output: fixed
#include "guest.h"

int main(void) {
    int from = file_with("from", "0123456789abcdefghij"), to = file_with("to", "");
    char text[64] = "";
    off_t in = 5, out = 3;
    CHECK(copy_file_range(from, &in, to, &out, 6, 0) == 6 && in == 11 && out == 9);
    CHECK(lseek(from, 0, SEEK_CUR) == 20 && lseek(to, 0, SEEK_CUR) == 0);
    CHECK(pread(to, text, sizeof text, 0) == 9 && memcmp(text, "\0\0\00056789a", 9) == 0);
    OK(lseek(from, 16, SEEK_SET));
    CHECK(copy_file_range(from, NULL, to, NULL, 100, 0) == 4);
    CHECK(lseek(from, 0, SEEK_CUR) == 20 && lseek(to, 0, SEEK_CUR) == 4);
    CHECK(copy_file_range(from, NULL, to, NULL, 100, 0) == 0);
    in = 0, out = 12;
    CHECK(copy_file_range(from, &in, from, &out, 5, 0) == 5);
    in = 0;
    memset(text, 0, sizeof text);
    CHECK(copy_file_range(from, &in, to, NULL, 20, 0) == 20);
    CHECK(pread(to, text, sizeof text, 0) == 24);
    printf("%s\n", text);
    in = 0, out = 3;
    FAILS(EINVAL, copy_file_range(from, &in, from, &out, 10, 0));
    FAILS(EINVAL, copy_file_range(from, NULL, to, NULL, 1, 1));
    int ends[2];
    OK(pipe(ends));
    FAILS(EINVAL, copy_file_range(from, &in, ends[1], NULL, 5, 0));
    int readable = OK(open("to", O_RDONLY));
    FAILS(EBADF, copy_file_range(from, &in, readable, NULL, 5, 0));
    return 0;
}

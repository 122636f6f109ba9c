// O_APPEND: every write goes behind the end, whatever the offset; pwrite(2) too; a second description writes in between; the flag
// comes and goes.
// output: fixed
#include "guest.h"

int main(void) {
    int fd = OK(open("log", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600));
    int other = OK(open("log", O_RDWR));
    char text[64] = "";
    CHECK(write(fd, "one ", 4) == 4);
    CHECK(write(other, "ONE", 3) == 3);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(write(fd, "two ", 4) == 4 && lseek(fd, 0, SEEK_CUR) == 8);
    // Linux appends here, too, and leaves the offset.
    CHECK(pwrite(fd, "three ", 6, 0) == 6 && lseek(fd, 0, SEEK_CUR) == 8);
    struct iovec parts[] = {{"fo", 2}, {"ur ", 3}};
    CHECK(writev(fd, parts, 2) == 5);
    CHECK(pwritev2(fd, parts, 2, 0, RWF_APPEND) == 5);
    CHECK(pwritev2(other, parts, 2, 0, RWF_APPEND) == 5);
    OK(fcntl(fd, F_SETFL, 0));
    CHECK(lseek(fd, 4, SEEK_SET) == 4 && write(fd, "TWO", 3) == 3);
    OK(fcntl(other, F_SETFL, O_APPEND));
    CHECK(write(other, "five", 4) == 4);
    OK(ftruncate(fd, 10));
    CHECK(write(other, "six", 3) == 3);
    CHECK(pread(fd, text, sizeof text, 0) == 13);
    printf("%s\n", text);
    CHECK(strcmp(text, "ONE TWO thsix") == 0);
    FILE *stream = fopen("log", "a+");
    CHECK(stream && fprintf(stream, " %d", 7) == 2 && fclose(stream) == 0);
    CHECK(pread(fd, text, sizeof text, 0) == 15);
    printf("%s\n", text);
    return 0;
}

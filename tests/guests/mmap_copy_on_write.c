// A file mapped privately: what is written into memory never reaches the file; pages not yet written show the file's new bytes,
// written ones keep theirs, until they are dropped.
// output: fixed
#include "guest.h"

int main(void) {
    int fd = OK(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
    char page[4096], text[16] = "";
    for (int i = 0; i < 8; i++) {
        memset(page, 'a' + i, sizeof page);
        CHECK(write(fd, page, sizeof page) == sizeof page);
    }
    char *mapped = OK(mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    char *second = OK(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * 4096));
    strcpy(mapped + 3 * 4096, "memory");
    CHECK(second[4096] == 'd' && mapped[3 * 4096] == 'm');
    CHECK(pread(fd, text, 4, 3 * 4096) == 4 && strcmp(text, "dddd") == 0);
    CHECK(pwrite(fd, "FILE", 4, 3 * 4096) == 4);
    CHECK(pwrite(fd, "FILE", 4, 5 * 4096) == 4);
    printf("%.6s %.4s %.4s %.4s\n", mapped + 3 * 4096, second + 4096, mapped + 5 * 4096, second + 3 * 4096);
    CHECK(memcmp(mapped + 3 * 4096, "memory", 6) == 0 && memcmp(second + 4096, "FILE", 4) == 0);
    OK(madvise(mapped, 8 * 4096, MADV_DONTNEED));
    printf("%.6s\n", mapped + 3 * 4096);
    CHECK(memcmp(mapped + 3 * 4096, "FILEdd", 6) == 0);
    // The kernel writes into it too: a read(2) into the mapping of the same file.
    OK(lseek(fd, 7 * 4096, SEEK_SET));
    CHECK(read(fd, mapped + 4096 - 8, 16) == 16);
    CHECK(memcmp(mapped + 4096 - 9, "ahhhhhhhhhhhhhhhhb", 18) == 0);
    OK(close(fd));
    OK(unlink("file"));
    CHECK(mapped[4096 * 4] == 'e' && second[3 * 4096 + 4] == 'f');
    unsigned sum = 0;
    for (int i = 0; i < 8 * 4096; i++) sum = sum * 31 + (unsigned char)mapped[i];
    printf("sum %08x\n", sum);
    return 0;
}

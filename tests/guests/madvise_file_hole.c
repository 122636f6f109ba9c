// MADV_DONTNEED over mapped files with a hole between them: it fails, and what the program had written there is gone all the same.
// output: fixed
#include "guest.h"

int main(void) {
    char page[4096];
    int fd = OK(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
    memset(page, 'f', sizeof page);
    for (int i = 0; i < 4; i++) CHECK(write(fd, page, sizeof page) == sizeof page);
    char *mapped = OK(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    memset(mapped, 'm', 4 * 4096);
    OK(munmap(mapped + 4096, 4096));
    FAILS(ENOMEM, madvise(mapped, 3 * 4096, MADV_DONTNEED));
    printf("%c %c %c\n", mapped[0], mapped[2 * 4096], mapped[3 * 4096]);
    CHECK(mapped[0] == 'f' && mapped[2 * 4096] == 'f' && mapped[3 * 4096] == 'm');
    return 0;
}

// mmap(2) of a file: private and writable, shared and read-only, at an offset, and a short last page.
#include "guest.h"

int main(void) {
    int fd = OK(open("data", O_RDWR | O_CREAT | O_TRUNC, 0644));
    char block[4096];
    for (int i = 0; i < 3; i++) {
        memset(block, 'A' + i, sizeof block);
        CHECK(write(fd, block, sizeof block) == 4096);
    }
    CHECK(write(fd, "tail", 4) == 4);
    char *private = OK(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    char *shared = OK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096));
    OK(close(fd));
    printf("%p %p: %c %c %c %.8s\n", (void *)private, (void *)shared, private[0], private[4096], shared[0],
           private + 3 * 4096);
    CHECK(private[3 * 4096 + 4] == 0);
    memcpy(private + 4096, "mine", 4);
    CHECK(memcmp(shared, "BBBB", 4) == 0);
    printf("after writing: %.5s, the file still has %.5s\n", private + 4096, shared);
    OK(munmap(private, 4 * 4096));
    OK(munmap(shared, 4096));
    return 0;
}

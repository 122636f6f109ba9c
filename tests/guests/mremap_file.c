// mremap(2) of a mapped file: grown, shrunk, moved; behind the old end stands more of the file.
// output: fixed
#include "guest.h"

int main(void) {
    int fd = OK(open("data", O_RDWR | O_CREAT, 0644));
    for (int page = 0; page < 6; page++) {
        char text[4096] = "";
        snprintf(text, sizeof text, "page %d", page);
        CHECK(write(fd, text, sizeof text) == sizeof text);
    }
    char *area = OK(mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096));
    area[5] = 'X';
    area = OK(mremap(area, 2 * 4096, 5 * 4096, MREMAP_MAYMOVE));
    for (int page = 0; page < 5; page++) printf("%s\n", area + page * 4096);
    area = OK(mremap(area, 5 * 4096, 3 * 4096, 0));
    char *elsewhere = OK(mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    area = OK(mremap(area, 3 * 4096, 4 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere + 4096));
    CHECK(area == elsewhere + 4096);
    for (int page = 0; page < 4; page++) printf("%s\n", area + page * 4096);
    char *shared = OK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    shared = OK(mremap(shared, 4096, 2 * 4096, MREMAP_MAYMOVE));
    CHECK(pwrite(fd, "PAGE", 4, 4096) == 4);
    printf("%s, %s\n", shared, shared + 4096);
    OK(madvise(area, 4096, MADV_DONTNEED));
    printf("after madvise: %s\n", area);
    return 0;
}

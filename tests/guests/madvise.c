// madvise(2): MADV_DONTNEED makes pages zero again, or reads a file's bytes anew.
#include "guest.h"

int main(void) {
    char *area = OK(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memset(area, 'x', 4 * 4096);
    OK(madvise(area, 4 * 4096, MADV_WILLNEED));
    OK(madvise(area + 4096, 4096, MADV_DONTNEED));
    printf("%c %d %c\n", area[0], area[4096], area[2 * 4096]);
    CHECK(area[0] == 'x' && area[4096] == 0 && area[2 * 4096] == 'x');

    int fd = file_with("data", "from the file");
    char *mapped = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    strcpy(mapped, "overwritten");
    OK(madvise(mapped, 4096, MADV_DONTNEED));
    printf("%s\n", mapped);
    CHECK(strcmp(mapped, "from the file") == 0);
    OK(madvise(mapped, 4096, MADV_NORMAL));
    FAILS(EINVAL, madvise(area + 1, 4096, MADV_DONTNEED));
    return 0;
}

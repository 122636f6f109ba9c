// A file mapped with MAP_SHARED must not be writable: what is written there would be no record.
// refused: mprotect with PROT_WRITE of a file mapped with MAP_SHARED
// output: fixed
#include "guest.h"

int main(void) {
    int fd = file_with("data", "shared text");
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
    char *area = OK(mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0));
    FAILS(EACCES, mprotect(area, 4096, PROT_READ | PROT_WRITE));
    area = OK(mremap(area, 8192, 4096, 0));
    FAILS(EACCES, mprotect(area, 4096, PROT_WRITE));
    OK(mprotect(area, 4096, PROT_NONE));
    OK(mprotect(area, 4096, PROT_READ));
    printf("%s\n", area);
    char *own = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
    OK(mprotect(own, 4096, PROT_READ | PROT_WRITE));
    own[0] = 'S';
    printf("%s, %s\n", area, own);
    OK(munmap(area, 4096));
    area = OK(mmap(area, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    OK(mprotect(area, 4096, PROT_READ | PROT_WRITE));
    area[0] = 'x';
    return 0;
}

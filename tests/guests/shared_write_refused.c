// What a private mapping of a file shows after a write by memory is not known: the one must not be where the other is.
// refused: mprotect with PROT_WRITE of a file mapped with MAP_SHARED: the server has mapped it with MAP_PRIVATE, too
// output: fixed
#include "guest.h"

int main(void) {
    int fd = file_with("data", "shared text");
    char *area = OK(mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0));
    char *own = OK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    own[0] = 'S';
    FAILS(EACCES, mprotect(area, 4096, PROT_READ | PROT_WRITE));
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
    area = OK(mremap(area, 8192, 4096, 0));
    FAILS(EACCES, mprotect(area, 4096, PROT_WRITE));
    printf("%s, %s\n", area, own);
    OK(munmap(own, 4096));
    OK(mprotect(area, 4096, PROT_READ | PROT_WRITE));
    area[0] = 'z';
    FAILS(EACCES, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
    OK(munmap(area, 4096));
    own = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
    printf("%s\n", own);
    FAILS(EACCES, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, OK(open("/dev/zero", O_RDWR)), 0));
    FAILS(EBADF, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 77, 0));
    return 0;
}

// mmap(2) without a file: private, shared, fixed, refused addresses; munmap(2) of the middle.
#include "guest.h"

int main(void) {
    size_t page = 4096;
    char *area = OK(mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    printf("private %p\n", (void *)area);
    for (size_t i = 0; i < 8 * page; i += page) area[i] = (char)('a' + i / page);
    OK(munmap(area + 3 * page, 2 * page));
    FAILS(EFAULT, syscall(SYS_access, area + 3 * page, F_OK));
    FAILS(EEXIST, mmap(area, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    char *hole = OK(mmap(area + 3 * page, page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    CHECK(hole == area + 3 * page && hole[0] == 0);
    CHECK(OK(mmap(area, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)) == area);
    printf("replaced: %d, kept: %c %c\n", area[0], area[page], area[7 * page]);
    char *shared = OK(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    shared[17] = 'S';
    printf("shared anonymous %p: %c\n", (void *)shared, shared[17]);
    FAILS(EINVAL, mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    FAILS(EBADF, mmap(NULL, page, PROT_READ, MAP_PRIVATE, -1, 0));
    FAILS(ENOMEM, mmap(NULL, (size_t)1 << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return 0;
}

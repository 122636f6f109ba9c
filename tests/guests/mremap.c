// mremap(2): grow in place or by moving, shrink, move to a fixed address.
#include "guest.h"

int main(void) {
    char *area = OK(mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    strcpy(area, "first");
    strcpy(area + 4096, "second");
    char *big = OK(mremap(area, 2 * 4096, 64 * 4096, MREMAP_MAYMOVE));
    printf("%p -> %p: %s %s %d\n", (void *)area, (void *)big, big, big + 4096, big[63 * 4096]);
    big[63 * 4096] = 'z';
    CHECK(OK(mremap(big, 64 * 4096, 4096, 0)) == big);
    FAILS(EFAULT, syscall(SYS_access, big + 4096, F_OK));
    char *target = OK(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK(OK(mremap(big, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, target)) == target);
    printf("moved to %p: %s\n", (void *)target, target);
    CHECK(strcmp(target, "first") == 0);
    FAILS(EFAULT, mremap(big, 4096, 8192, MREMAP_MAYMOVE));
    FAILS(EINVAL, mremap(target + 1, 4096, 8192, MREMAP_MAYMOVE));
    return 0;
}

// MADV_DONTNEED fails at memory that is locked: what lies before is let go, what lies behind is not.
// output: fixed
#include "guest.h"

int main(void) {
    char *area = OK(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memset(area, 'x', 4 * 4096);
    OK(mlock(area + 2 * 4096, 4096));
    FAILS(EINVAL, madvise(area, 4 * 4096, MADV_DONTNEED));
    for (int i = 0; i < 4; i++) printf("%d", area[i * 4096] == 'x');
    printf("\n");
    CHECK(area[0] == 0 && area[4096] == 0 && area[2 * 4096] == 'x' && area[3 * 4096] == 'x');
    // A hole in front does not stop it.
    memset(area, 'y', 4 * 4096);
    OK(munmap(area + 4096, 4096));
    FAILS(EINVAL, madvise(area, 4 * 4096, MADV_DONTNEED));
    CHECK(area[0] == 0 && area[2 * 4096] == 'y' && area[3 * 4096] == 'y');
    // These have no effect.
    FAILS(EINVAL, madvise(area + 2 * 4096, 4096, MADV_DONTNEED));
    FAILS(EINVAL, madvise(area + 3 * 4096 + 1, 4096, MADV_DONTNEED));
    FAILS(EINVAL, madvise(area, SIZE_MAX, MADV_DONTNEED));
    CHECK(area[2 * 4096] == 'y' && area[3 * 4096] == 'y');
    OK(munlock(area + 2 * 4096, 4096));
    OK(madvise(area + 2 * 4096, 2 * 4096, MADV_DONTNEED));
    CHECK(area[2 * 4096] == 0 && area[3 * 4096] == 0);
    return 0;
}

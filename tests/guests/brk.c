// brk(2): the heap's end moves up and down, and fresh pages are zero.
#include "guest.h"

int main(void) {
    printf("break before stdio has a buffer: %p\n", sbrk(0));
    char *start = sbrk(0);
    CHECK(sbrk(3 * 4096) == start);
    for (int i = 0; i < 3 * 4096; i++) CHECK(i < 4096 || start[i] == 0);
    memset(start, 'x', 3 * 4096);
    CHECK(sbrk(-2 * 4096) == start + 3 * 4096);
    CHECK(sbrk(2 * 4096) == start + 4096);
    unsigned char *aligned = (unsigned char *)(((uintptr_t)start + 4096 + 4095) & ~(uintptr_t)4095);
    printf("grown again: kept %c, fresh %d\n", start[100], aligned[0]);
    CHECK(start[100] == 'x' && aligned[0] == 0);
    printf("impossible break: %ld\n", (long)(syscall(SYS_brk, 1) - (long)start));
    printf("break %p\n", sbrk(0));
    return 0;
}

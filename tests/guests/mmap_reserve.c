// A large reservation without rights, of which parts are committed, given back and committed again: fresh pages are zero, the
// others keep what they hold; and MAP_FIXED_NOREPLACE never takes what is taken.
#include "guest.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

int main(void) {
    const size_t size = 1ul << 32, chunk = 1 << 20;
    char *area = OK(mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    printf("reserved at %p\n", (void *)area);
    unsigned sum = 0;
    for (size_t i = 0; i < 32; i++) {
        char *part = area + (i * 131 % 4096) * chunk;
        OK(mprotect(part, chunk, PROT_READ | PROT_WRITE));
        for (size_t k = 0; k < chunk; k += 4096) CHECK(part[k] == 0);
        memset(part + i, (int)i + 1, 4096);
        if (i % 4 == 3) {
            // Given back: with MADV_DONTNEED, or by a fresh reservation over it.
            if (i % 8 == 3) OK(madvise(part, chunk, MADV_DONTNEED));
            else CHECK(mmap(part, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == part);
            CHECK(part[i] == 0);
        }
        sum = sum * 31 + (unsigned char)part[i + 5];
        FAILS(EEXIST, mmap(part + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    }
    OK(munmap(area + size / 2, 1 << 21));
    char *hole = mmap(area + size / 2, 1 << 21, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(hole == area + size / 2);
    OK(munmap(area, size));
    FAILS(ENOMEM, mprotect(area, 4096, PROT_READ));
    printf("sum %x\n", sum);
    return 0;
}

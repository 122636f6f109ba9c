// A program that maps over, unmaps or protects what it did not map: it cannot have what is ftrun's, and goes on.
// refused: munmap of memory that is ftrun's own
// cflags: -static
// fast: 10
#include "site.h"

int main(void) {
    warm_up();
    const uintptr_t own[] = {0x10000, 0x21000, 0x29000, 0x40000, 0x5f000, 0x555550000000, 0x7ffff8000000, 0x7ffff9000000,
                             0x7ffff9fff000, 0x7ffffa000000, 0x7ffffafff000};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
            void *at = (void *)own[i];
            FAILS(EINVAL, munmap(at, 4096));
            FAILS(EINVAL, munmap((char *)at - (i ? 4096 : 0), 1 << 20));
            FAILS(EINVAL, mprotect(at, 4096, PROT_NONE));
            FAILS(EINVAL, madvise(at, 4096, MADV_DONTNEED));
            FAILS(EINVAL, mmap(at, 4096, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
            FAILS(EINVAL, mremap(at, 4096, 8192, MREMAP_MAYMOVE));
            // A hint is no demand: it gets other memory.
            void *hint = mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(hint != MAP_FAILED && hint != at);
            OK(munmap(hint, 4096));
            CHECK(numbered_getppid(0, 0, 0) == getppid());
        }
        // All but what is its own, page by page: up to the program, and from the heap to the stack.
        int refused = 0;
        for (uintptr_t at = 0x10000; at < 0x100000; at += 4096) refused += munmap((void *)at, 4096) != 0;
        printf("%d pages are ftrun's\n", refused);
        CHECK(refused > 0);
        OK(munmap((void *)0x100000000, 0x555540000000 - 0x100000000));
        OK(munmap((void *)0x600000000000, 0x100000000000));
        CHECK(CALL(getppid) == getppid());
    }
    return 0;
}

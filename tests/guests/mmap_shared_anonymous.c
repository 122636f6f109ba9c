// Memory that is shared and has no name: written, its pages dropped and still there, moved, made read-only, and given to the kernel.
// output: fixed
#include "guest.h"

int main(void) {
    const size_t size = 16 * 4096;
    char *area = OK(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < size; i++) CHECK(area[i] == 0);
    for (size_t i = 0; i < size; i++) area[i] = (char)(i * 7 + i / 4096);
    // Unlike private pages, shared ones keep what they hold.
    OK(madvise(area, size, MADV_DONTNEED));
    for (size_t i = 0; i < size; i++) CHECK(area[i] == (char)(i * 7 + i / 4096));
    char *moved = OK(mremap(area, size, 2 * size, MREMAP_MAYMOVE));
    for (size_t i = 0; i < size; i += 97) CHECK(moved[i] == (char)(i * 7 + i / 4096));
    moved = OK(mremap(moved, 2 * size, size / 2, 0));
    int ends[2];
    OK(pipe(ends));
    CHECK(write(ends[1], moved, 4096) == 4096);
    CHECK(read(ends[0], moved + 8192, 4096) == 4096);
    CHECK(memcmp(moved, moved + 8192, 4096) == 0);
    OK(mprotect(moved, size / 2, PROT_READ));
    CHECK(write(ends[1], moved + 8192, 100) == 100);
    FAILS(EFAULT, read(ends[0], moved, 100));
    unsigned sum = 0;
    for (size_t i = 0; i < size / 2; i++) sum = sum * 33 + (unsigned char)moved[i];
    printf("sum %08x\n", sum);
    return 0;
}

// mincore(2) before and after a page is touched or dropped, and advice that changes no content; advice for what is not mapped.
#include "guest.h"

int main(void) {
    unsigned char resident[8];
    char *area = OK(mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(madvise(area, 8 * 4096, MADV_NOHUGEPAGE));
    OK(mincore(area, 8 * 4096, resident));
    for (int i = 0; i < 8; i++) CHECK((resident[i] & 1) == 0);
    for (int i = 0; i < 8; i += 2) area[i * 4096] = (char)i;
    OK(mincore(area, 8 * 4096, resident));
    for (int i = 0; i < 8; i += 2) CHECK((resident[i] & 1) == 1);
    const int advice[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP};
    for (size_t i = 0; i < sizeof advice / sizeof *advice; i++) OK(madvise(area, 8 * 4096, advice[i]));
    for (int i = 0; i < 8; i += 2) CHECK(area[i * 4096] == (char)i);
    OK(madvise(area + 4096, 3 * 4096, MADV_DONTNEED));
    OK(mincore(area, 4 * 4096, resident));
    CHECK((resident[2] & 1) == 0 && (resident[0] & 1) == 1);
    CHECK(area[2 * 4096] == 0 && area[4 * 4096] == 4);
    OK(munmap(area + 5 * 4096, 4096));
    // What is there is advised all the same.
    area[6 * 4096] = 6;
    FAILS(ENOMEM, madvise(area + 4 * 4096, 3 * 4096, MADV_DONTNEED));
    CHECK(area[4 * 4096] == 0 && area[6 * 4096] == 0);
    FAILS(ENOMEM, mincore(area + 4 * 4096, 3 * 4096, resident));
    FAILS(EINVAL, mincore(area + 1, 4096, resident));
    FAILS(EFAULT, mincore(area, 4096, (void *)8));
    print_hex("resident", resident, 4);
    return 0;
}

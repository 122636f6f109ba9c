// mlock(2), munlock(2), mincore(2), msync(2).
#include "guest.h"

int main(void) {
    char *area = OK(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    area[4096] = 'x';
    unsigned char resident[4] = {9, 9, 9, 9};
    OK(mincore(area, 4 * 4096, resident));
    print_hex("resident", resident, 4);
    CHECK(resident[1] & 1);
    printf("mlock: %d\n", mlock(area, 2 * 4096));
    OK(mincore(area, 4 * 4096, resident));
    print_hex("resident", resident, 4);
    printf("munlock: %d\n", munlock(area, 2 * 4096));
    OK(msync(area, 4096, MS_ASYNC));
    FAILS(EINVAL, msync(area + 1, 4096, MS_SYNC));
    OK(munmap(area, 4096));
    FAILS(ENOMEM, mincore(area, 4096, resident));
    CHECK(area[4096] == 'x' && area[3 * 4096] == 0);
    return 0;
}

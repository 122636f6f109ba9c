// mlock(2), munlock(2): locked memory stays what it is, whether the limit allows it or not.
#include "guest.h"

#include <sys/resource.h>

int main(void) {
    char *area = OK(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    area[4096] = 'x';
    struct rlimit limit;
    OK(getrlimit(RLIMIT_MEMLOCK, &limit));
    printf("limit %lu, mlock: %d\n", limit.rlim_cur, mlock(area, 2 * 4096));
    CHECK(area[0] == 0 && area[4096] == 'x');
    printf("munlock: %d\n", munlock(area, 2 * 4096));
    OK(munmap(area, 4096));
    FAILS(ENOMEM, munlock(area, 2 * 4096));
    CHECK(area[4096] == 'x' && area[3 * 4096] == 0);
    return 0;
}

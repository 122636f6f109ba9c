// mlock(2), munlock(2), mlockall(2): MADV_DONTNEED fails at locked memory. What is unmapped, moved, and mapped later.
// output: fixed
#include "guest.h"

#define PAGE 4096

static char *mapped(size_t pages) {
    return OK(mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int is_locked(char *page) {
    return madvise(page, PAGE, MADV_DONTNEED) != 0 && errno == EINVAL;
}

int main(void) {
    char *area = mapped(8);
    OK(mlock(area + PAGE + 10, 3 * PAGE));
    OK(munlock(area + 3 * PAGE, PAGE));
    for (int i = 0; i < 8; i++) printf("%d", is_locked(area + i * PAGE));
    printf("\n");
    // A mapping in its place is another one.
    OK(mmap(area + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    CHECK(!is_locked(area + PAGE) && is_locked(area + 2 * PAGE) && !is_locked(area + 3 * PAGE) && is_locked(area + 4 * PAGE));
    // It is locked where it goes, and grows.
    char *moved = OK(mremap(area + 4 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    CHECK(is_locked(moved) && is_locked(moved + PAGE));
    OK(mlockall(MCL_CURRENT));
    char *later = mapped(1);
    CHECK(is_locked(area) && is_locked(area + 7 * PAGE) && !is_locked(later));
    OK(mlockall(MCL_FUTURE | MCL_ONFAULT));
    char *last = mapped(2);
    CHECK(is_locked(area) && !is_locked(later) && is_locked(last) && is_locked(last + PAGE));
    char *heap = sbrk(0);
    heap += -(uintptr_t)heap % PAGE;
    OK(brk(heap + 3 * PAGE));
    CHECK(is_locked(heap) && is_locked(heap + 2 * PAGE));
    OK(munlockall());
    char *after = mapped(1);
    CHECK(!is_locked(area) && !is_locked(last) && !is_locked(after) && !is_locked(heap));
    OK(mlock(last, PAGE));
    OK(munmap(last, PAGE));
    CHECK(!is_locked(last + PAGE));
    return 0;
}

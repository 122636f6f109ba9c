// brk(2): up by odd amounts, down into the middle of a page, down to the start and up again; refused below the start, into the
// stack and beyond RLIMIT_DATA. What is left and comes again is zero.
#include "guest.h"

#include <sys/resource.h>

static char *end_at(void *wanted) { return (char *)syscall(SYS_brk, wanted); }

int main(void) {
    // No other user of the heap: output goes out at once.
    setbuf(stdout, NULL);
    char *start = end_at(NULL);
    printf("start %p\n", (void *)start);
    char *now = start;
    for (int i = 1; i < 60; i++) {
        char *wanted = now + i * 977;
        CHECK(end_at(wanted) == wanted);
        for (char *byte = now; byte < wanted; byte += 13) {
            CHECK(*byte == 0);
            *byte = (char)i;
        }
        now = wanted;
        if (i % 10 == 0) {
            // Whole pages behind the end are gone, the rest of the last one stays.
            char *half = start + (now - start) / 2;
            CHECK(end_at(half) == half);
            char *above = (char *)(((uintptr_t)half + 4095) & ~4095ul);
            CHECK(end_at(now) == now);
            for (char *byte = above; byte < now; byte += 7) CHECK(*byte == 0);
            memset(half, 0, (size_t)(now - half));
        }
    }
    CHECK(end_at(start - 4096 * 1000) == now);
    CHECK(end_at((void *)0x7fffffffe000) == now);
    struct rlimit limit;
    OK(getrlimit(RLIMIT_DATA, &limit));
    OK(setrlimit(RLIMIT_DATA, &(struct rlimit){1 << 20, limit.rlim_max}));
    CHECK(end_at(now + (64 << 20)) == now);
    OK(setrlimit(RLIMIT_DATA, &limit));
    CHECK(end_at(now + (8 << 20)) == now + (8 << 20));
    memset(now, 'x', 8 << 20);
    CHECK(end_at(start) == start);
    CHECK(end_at(start + 100000) == start + 100000);
    for (char *byte = (char *)(((uintptr_t)start + 4095) & ~4095ul); byte < start + 100000; byte++) CHECK(*byte == 0);
    CHECK(end_at(start) == start);
    return 0;
}

// malloc(3) and free(3) in a random order, small and large: brk, mmap, mremap and munmap underneath.
// output: fixed
#include "guest.h"

#include <malloc.h>

#define SLOTS 400

static uint64_t seed = 12345;

static uint64_t next_number(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

int main(void) {
    static unsigned char *blocks[SLOTS];
    static size_t sizes[SLOTS];
    uint64_t sum = 0;
    for (int i = 0; i < 6000; i++) {
        size_t slot = next_number() % SLOTS;
        if (blocks[slot]) {
            CHECK(blocks[slot][0] == slot % 251 && blocks[slot][sizes[slot] - 1] == slot % 251);
            sum = sum * 31 + sizes[slot];
        }
        uint64_t what = next_number();
        size_t size = 1 + (what % 20 == 0 ? next_number() % 300000 : next_number() % 3000);
        if (what >> 60 == 0) {
            free(blocks[slot]);
            blocks[slot] = NULL;
            continue;
        }
        blocks[slot] = realloc(blocks[slot], size);
        CHECK(blocks[slot]);
        sizes[slot] = size;
        memset(blocks[slot], (int)(slot % 251), size);
    }
    for (int slot = 0; slot < SLOTS; slot++) free(blocks[slot]);
    malloc_trim(0);
    printf("sum %lx\n", sum);
    return 0;
}

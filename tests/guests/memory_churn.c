// malloc(3), realloc(3), aligned_alloc(3), alloca(3) and free(3) of all sizes in a random order, each block checked before it goes.
#include "guest.h"

#include <alloca.h>
#include <malloc.h>

enum { SLOTS = 256 };
static unsigned char *blocks[SLOTS];
static size_t sizes[SLOTS];
static uint64_t state = 88172645463325252ul;

static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void check(int slot) {
    for (size_t i = 0; i < sizes[slot]; i += 61) CHECK(blocks[slot][i] == (unsigned char)(slot + i));
}

static void fill(int slot) {
    for (size_t i = 0; i < sizes[slot]; i++) blocks[slot][i] = (unsigned char)(slot + i);
}

static size_t deep(int depth) {
    size_t size = 1000 + next() % 9000;
    volatile char *bytes = alloca(size);
    bytes[0] = (char)depth;
    bytes[size - 1] = (char)~depth;
    size_t below = depth > 0 ? deep(depth - 1) : 0;
    CHECK(bytes[0] == (char)depth && bytes[size - 1] == (char)~depth);
    return size + below;
}

int main(void) {
    for (int i = 0; i < 4000; i++) {
        int slot = (int)(next() % SLOTS);
        check(slot);
        size_t size = next() % (i % 50 == 0 ? 3000000 : i % 7 == 0 ? 30000 : 600) + 1;
        switch (next() % 4) {
        case 0:
            free(blocks[slot]);
            blocks[slot] = NULL;
            sizes[slot] = 0;
            break;
        case 1:
            free(blocks[slot]);
            CHECK((blocks[slot] = aligned_alloc(4096, (size + 4095) & ~4095ul)));
            CHECK(((uintptr_t)blocks[slot] & 4095) == 0);
            sizes[slot] = size;
            fill(slot);
            break;
        default: {
            size_t kept = size < sizes[slot] ? size : sizes[slot];
            CHECK((blocks[slot] = realloc(blocks[slot], size)));
            sizes[slot] = kept;
            check(slot);
            sizes[slot] = size;
            fill(slot);
        }
        }
        if (i % 500 == 0) malloc_trim(0);
    }
    size_t total = 0;
    for (int slot = 0; slot < SLOTS; slot++) {
        check(slot);
        total += sizes[slot];
        free(blocks[slot]);
    }
    printf("%zu bytes at the end, %zu on the stack, heap's end %p\n", total, deep(400), sbrk(0));
    return 0;
}

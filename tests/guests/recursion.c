// Deep recursion: the stack grows downwards over megabytes, page by page.
// output: fixed
#include "guest.h"

static uint64_t descend(int depth, uint64_t carried) {
    volatile unsigned char frame[1000];
    for (size_t i = 0; i < sizeof frame; i += 100) frame[i] = (unsigned char)(carried + i);
    uint64_t below = depth == 0 ? carried : descend(depth - 1, carried * 1103515245 + 12345);
    uint64_t sum = below;
    for (size_t i = 0; i < sizeof frame; i += 100) sum += frame[i];
    return sum;
}

int main(void) {
    for (int depth = 10; depth <= 5000; depth *= 5) printf("depth %d: %lx\n", depth, descend(depth, 1));
    return 0;
}

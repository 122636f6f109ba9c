// Becomes itself eight times; each one looks at its own memory, clock and arguments.
// output: fixed
#include "guest.h"

static int touched = 1;

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 0;
    CHECK(touched++ == 1);
    struct timespec now;
    OK(clock_gettime(CLOCK_MONOTONIC, &now));
    char *heap = malloc(300000), next[16], before[32];
    memset(heap, count + 1, 300000);
    if (argc > 2) CHECK(strtoll(argv[2], NULL, 10) <= now.tv_sec);
    printf("%d of 8, sum %d\n", count, heap[299999] * touched);
    fflush(stdout);
    snprintf(next, sizeof next, "%d", count + 1);
    snprintf(before, sizeof before, "%lld", (long long)now.tv_sec);
    if (count < 8) execv(argv[0], (char *[]){argv[0], next, before, NULL});
    return count != 8;
}

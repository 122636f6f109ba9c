// The rdtscp instruction: the counter, and in ecx the processor's number.
#include "guest.h"

int main(void) {
    uint64_t last = 0;
    for (int i = 0; i < 20; i++) {
        unsigned long low = ~0ul, high = ~0ul, processor = ~0ul;
        __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(processor));
        CHECK(low >> 32 == 0 && high >> 32 == 0 && processor >> 32 == 0);
        uint64_t now = high << 32 | low;
        CHECK(now > last);
        last = now;
        if (i % 5 == 0) printf("%lu on processor %lu, node %lu\n", now, processor & 0xfff, processor >> 12);
    }
    return 0;
}

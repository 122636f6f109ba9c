// Calls are made with the alignment check on, from buffers that are not aligned: the kernel does not care, nor may the interceptor.
// output: fixed
// fast: 4
#include "site.h"

static inline void check_alignment(int on) {
    if (on)
        __asm__ volatile("pushfq; orq $0x40000, (%%rsp); popfq" ::: "memory", "cc");
    else
        __asm__ volatile("pushfq; andq $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
}

int main(void) {
    int ends[2];
    OK(pipe(ends));
    static char out[64] = "__misaligned, and longer than a word or two", in[64];
    warm_up();
    for (int round = 0; round < 3; round++) {
        check_alignment(1);
        long written = CALL(write, ends[1], out + 1, 37);
        long read = CALL(read, ends[0], in + 3, 37);
        check_alignment(0);
        CHECK(written == 37 && read == 37 && !memcmp(out + 1, in + 3, 37));
        // Without the check, these are made in process in any case.
        CHECK(CALL(write, ends[1], out + 1, 37) == 37);
        CHECK(CALL(read, ends[0], in + 3, 37) == 37);
    }
    printf("done\n");
    return 0;
}

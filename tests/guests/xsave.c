// XSAVE into memory and back: what is stored is what the registers hold, and it is what is put back.
#include "guest.h"

#include <immintrin.h>
#include <stdint.h>

static unsigned char area[16384] __attribute__((aligned(64)));

static uint64_t word(size_t at) {
    uint64_t value;
    memcpy(&value, area + at, 8);
    return value;
}

int main(void) {
    uint64_t in[2] = {0x1122334455667788, 0x99aabbccddeeff00}, out[2] = {0, 0};
    memset(area, 0x5a, 512);
    // x87, SSE: a number of each; AVX is not asked for.
    __asm__ volatile("fninit\n fld1\n movups %1, %%xmm5\n xsave %0\n"
                     : "+m"(area)
                     : "m"(in), "a"(3), "d"(0)
                     : "xmm5", "st", "memory");
    CHECK((word(512) & ~(uint64_t)3) == 0);
    printf("%lx %lx, st(0) %lx %x, control %x, mxcsr %x\n", word(160 + 5 * 16), word(168 + 5 * 16), word(32),
           area[40] | area[41] << 8, area[0] | area[1] << 8, (unsigned)word(24));
    // What is no component stays as it was, and so does what was not asked for.
    printf("%lx %lx %lx\n", word(464), word(504), word(576));
    // Components that are in use, as far as the area says so, come back; one that was not is at its initial value.
    CHECK((word(512) & 2) == 2);
    __asm__ volatile("pxor %%xmm5, %%xmm5\n fninit\n xrstor %1\n movups %%xmm5, %0\n fstp %%st(0)\n"
                     : "=m"(out)
                     : "m"(area), "a"(3), "d"(0)
                     : "xmm5", "st", "memory");
    printf("%lx %lx\n", out[0], out[1]);
    // Nothing asked for: nothing stored.
    memset(area, 0, sizeof area);
    __asm__ volatile("xsave %0" : "+m"(area) : "a"(0), "d"(0) : "memory");
    for (size_t at = 0; at < sizeof area; at++) CHECK(area[at] == 0);
    return 0;
}

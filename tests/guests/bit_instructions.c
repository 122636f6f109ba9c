// Counting, gathering, shifting and swapping: popcnt, lzcnt, tzcnt, pdep, pext, mulx, crc32, bswap, shld, adcx-like carries,
// cmpxchg, xadd, cmpxchg16b, with and without the lock prefix.
// output: fixed
#include "guest.h"

#include <immintrin.h>

__attribute__((target("bmi,bmi2,lzcnt,popcnt,sse4.2"))) static uint64_t mixed(uint64_t x, uint64_t y) {
    unsigned long long high;
    uint64_t sum = (uint64_t)_mm_popcnt_u64(x) + (_lzcnt_u64(x) << 8) + (_tzcnt_u64(x) << 16);
    sum ^= _pdep_u64(x, y) + _pext_u64(x, y);
    sum ^= _mulx_u64(x, y, &high);
    sum += high + _bzhi_u64(x, (unsigned)y & 63) + _blsr_u64(x) + _blsmsk_u64(y) + _andn_u64(x, y);
    sum ^= _mm_crc32_u64(x, y) << 17;
    return sum ^ __builtin_bswap64(y);
}

int main(void) {
    uint64_t x = 0x9e3779b97f4a7c15, y = 0xbf58476d1ce4e5b9, sum = 0;
    if (__builtin_cpu_supports("bmi2")) {
        for (int i = 0; i < 2000; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            y += x << 17 | x >> 47;
            sum = sum * 31 + mixed(x, y);
        }
        printf("%016lx\n", sum);
    }
    uint64_t pair[2] __attribute__((aligned(16))) = {1, 2}, low = 1, high = 2;
    unsigned char equal;
    for (int i = 0; i < 10; i++) {
        __asm__ volatile("lock cmpxchg16b %1; setz %0"
                         : "=q"(equal), "+m"(pair), "+a"(low), "+d"(high)
                         : "b"(pair[0] * 3), "c"(pair[1] + 5)
                         : "cc", "memory");
        printf("%d: %lu %lu, seen %lu %lu\n", equal, pair[0], pair[1], low, high);
        CHECK(equal == (i % 2 == 0));
    }
    uint64_t word = 10, added = 7;
    __asm__ volatile("lock xaddq %0, %1" : "+r"(added), "+m"(word)::"memory", "cc");
    CHECK(word == 17 && added == 10);
    uint64_t a = 0xffffffffffffffff, b = 0x8000000000000001, c = 5;
    __asm__ volatile("add $1, %0; adc $0, %1; shld $12, %1, %2; rcl $3, %1; sbb %2, %0" : "+r"(a), "+r"(b), "+r"(c)::"cc");
    printf("%lx %lx %lx\n", a, b, c);
    return 0;
}

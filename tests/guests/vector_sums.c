// Checksums by plain code, by SSE and, where the processor has them, AVX2 and AVX-512: all the same, with calls of the system in
// between.
// output: fixed
#include "guest.h"

typedef uint32_t four __attribute__((vector_size(16)));
typedef uint32_t eight __attribute__((vector_size(32)));
typedef uint32_t sixteen __attribute__((vector_size(64)));

enum { COUNT = 16 * 1024 };
static uint32_t data[COUNT] __attribute__((aligned(64)));

#define SUM(name, type, lanes, attribute)                                                                       \
    attribute static uint32_t name(void) {                                                                      \
        type sum = {0}, mix = {0};                                                                              \
        uint32_t total = 0;                                                                                     \
        for (int i = 0; i < COUNT; i += lanes) {                                                                \
            type one;                                                                                           \
            memcpy(&one, data + i, sizeof one);                                                                 \
            sum += one * 2654435761u;                                                                           \
            mix ^= (one << 5) + (one >> 27);                                                                    \
            if (i % 2048 == 0) CHECK(syscall(SYS_close, -1) == -1);                                             \
        }                                                                                                       \
        uint32_t x = 0;                                                                                         \
        for (int i = 0; i < lanes; i++) total += sum[i], x ^= mix[i];                                           \
        return total ^ x;                                                                                       \
    }

SUM(by_four, four, 4, )
SUM(by_eight, eight, 8, __attribute__((target("avx2"))))
SUM(by_sixteen, sixteen, 16, __attribute__((target("avx512f"))))

int main(void) {
    uint32_t state = 1, total = 0, mix = 0;
    for (int i = 0; i < COUNT; i++) data[i] = state = state * 1664525 + 1013904223;
    for (int i = 0; i < COUNT; i++) {
        total += data[i] * 2654435761u;
        mix ^= (data[i] << 5) + (data[i] >> 27);
    }
    uint32_t expected = total ^ mix;
    printf("%08x\n", expected);
    for (int round = 0; round < 5; round++) {
        CHECK(by_four() == expected);
        if (__builtin_cpu_supports("avx2")) CHECK(by_eight() == expected);
        if (__builtin_cpu_supports("avx512f")) CHECK(by_sixteen() == expected);
    }
    return 0;
}

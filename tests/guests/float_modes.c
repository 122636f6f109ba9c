// SSE arithmetic in all rounding modes, with denormals, and with denormals taken for zero; exceptions as flags; fma(3).
// output: fixed
// cflags: -lm -ffp-contract=off -frounding-math
#include "guest.h"

#include <fenv.h>
#include <float.h>
#include <math.h>

static volatile double one = 1, three = 3, tiny = DBL_MIN, half = 0.5, huge = DBL_MAX;
static volatile float small = FLT_MIN;

static uint64_t bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

static void all(const char *name) {
    feclearexcept(FE_ALL_EXCEPT);
    double third = one / three, denormal = tiny * half, over = huge * three;
    float narrow = (float)(one / three), smaller = small * 0.25f;
    long whole = lrint(2.5), down = lrint(-1.5);
    printf("%s: %lx %lx %lx %a %a %ld %ld, fma %lx, flags %x\n", name, bits(third), bits(denormal), bits(over), (double)narrow,
           (double)smaller, whole, down, bits(fma(third, three, -one)), (unsigned)fetestexcept(FE_ALL_EXCEPT));
}

int main(void) {
    static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    static const char *const names[] = {"nearest", "down", "up", "zero"};
    for (int i = 0; i < 4; i++) {
        CHECK(fesetround(modes[i]) == 0);
        all(names[i]);
        // The mode lives through a call of the system.
        CHECK(getppid() > 0 && fegetround() == modes[i]);
    }
    CHECK(fesetround(FE_TONEAREST) == 0);
    uint32_t state, before;
    __asm__ volatile("stmxcsr %0" : "=m"(before));
    state = before | 0x8040; // flush to zero, denormals are zero
    __asm__ volatile("ldmxcsr %0" ::"m"(state));
    double denormal = tiny * half;
    uint64_t flushed = bits(denormal);
    __asm__ volatile("ldmxcsr %0" ::"m"(before));
    printf("flushed %lx\n", flushed);
    CHECK(flushed == 0);
    double sum = 0;
    for (int i = 1; i < 2000; i++) sum += sin(i) * sqrt(i) / exp(i % 7) + pow(i, 0.3) - log(i) * cbrt(i) + atan2(i, 3);
    printf("sum %a\n", sum);
    return 0;
}

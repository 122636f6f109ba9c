// The x87 unit: its precisions and roundings, its stack, transcendental instructions, remainders, conversions and its environment.
// output: fixed
#include "guest.h"

static void bits(const char *name, long double value) {
    unsigned char bytes[10];
    memcpy(bytes, &value, 10);
    print_hex(name, bytes, 10);
}

int main(void) {
    static const uint16_t words[] = {0x37f, 0x27f, 0x07f, 0x77f, 0xb7f, 0xf7f};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        long double third, root, sine, logarithm, tangent, power, sum = 0;
        uint16_t usual = 0x37f, status = 0;
        long rounded;
        __asm__ volatile("fldcw %0" ::"m"(words[i]));
        __asm__ volatile("fld1; fld %1; fdivrp" : "=t"(third) : "f"(3.0L));
        __asm__ volatile("fsqrt" : "=t"(root) : "0"(2.0L));
        __asm__ volatile("fsin" : "=t"(sine) : "0"(1.25L));
        __asm__ volatile("fyl2x" : "=t"(logarithm) : "0"(7.0L), "u"(3.0L) : "st(1)");
        __asm__ volatile("fptan; fstp %%st(0)" : "=t"(tangent) : "0"(0.5L));
        __asm__ volatile("f2xm1" : "=t"(power) : "0"(0.37L));
        __asm__ volatile("fistpll %0" : "=m"(rounded) : "t"(-2.5L) : "st");
        for (int k = 1; k < 500; k++) {
            long double term;
            __asm__ volatile("fdivrp" : "=t"(term) : "0"((long double)k), "u"(1.0L) : "st(1)");
            __asm__ volatile("faddp" : "=t"(sum) : "0"(sum), "u"(term) : "st(1)");
        }
        __asm__ volatile("fnstsw %0; fnclex" : "=m"(status));
        __asm__ volatile("fldcw %0" ::"m"(usual));
        printf("control word %x, status %x, rounded %ld\n", words[i], status & 0x3f, rounded);
        bits("third", third);
        bits("root", root);
        bits("sine", sine);
        bits("logarithm", logarithm);
        bits("tangent", tangent);
        bits("power", power);
        bits("sum", sum);
        // The unit and its state live through calls of the system.
        long double kept;
        long result;
        __asm__ volatile("fldpi; fldl2e; syscall; faddp" : "=t"(kept), "=a"(result) : "1"(SYS_getppid) : "rcx", "r11", "memory", "cc");
        bits("kept", kept);
        CHECK(result == getppid());
    }
    return 0;
}

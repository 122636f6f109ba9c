// xgetbv, the segment registers and control flags that a program can read: the same at the end as at the start.
#include "guest.h"

#include <cpuid.h>

int main(void) {
    unsigned a, b, c, d;
    __cpuid(1, a, b, c, d);
    for (int i = 0; i < 3; i++) {
        if (c & bit_OSXSAVE) {
            uint32_t low, high;
            __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
            printf("components %08x%08x\n", high, low);
            CHECK((low & 3) == 3);
        }
        uint16_t cs, ds, es, ss, fs, gs, x87, machine;
        uint32_t mxcsr;
        __asm__ volatile("mov %%cs, %0; mov %%ds, %1; mov %%es, %2; mov %%ss, %3; mov %%fs, %4; mov %%gs, %5"
                         : "=r"(cs), "=r"(ds), "=r"(es), "=r"(ss), "=r"(fs), "=r"(gs));
        __asm__ volatile("fnstcw %0; stmxcsr %1" : "=m"(x87), "=m"(mxcsr));
        __asm__ volatile("fnstsw %0" : "=m"(machine));
        printf("cs %x ds %x es %x ss %x fs %x gs %x, x87 %x %x, mxcsr %x\n", cs, ds, es, ss, fs, gs, x87, machine, mxcsr & ~0x3fu);
        CHECK(cs == 0x33 && ss == 0x2b && x87 == 0x37f);
        uint64_t flags;
        __asm__ volatile("sub $128, %%rsp; pushfq; pop %0; add $128, %%rsp" : "=r"(flags)::"cc");
        CHECK(flags & 0x200 && !(flags & 0x500));
        // The identification flag can be turned.
        uint64_t turned = flags ^ 0x200000, found;
        __asm__ volatile("sub $128, %%rsp; push %1; popfq; mov %2, %%eax; syscall; pushfq; pop %0; add $128, %%rsp"
                         : "=r"(found) : "r"(turned), "i"(SYS_getppid) : "rax", "rcx", "r11", "cc", "memory");
        CHECK((found & 0x200000) == (turned & 0x200000));
    }
    return 0;
}

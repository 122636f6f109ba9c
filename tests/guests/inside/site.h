// Sites of a guest's own, as libc makes them: the fast layer patches each when it is first used.
#ifndef SITE_H
#define SITE_H

#include "../guest.h"

// `syscall` with a comparison behind it.
static __attribute__((noinline, unused)) long compared(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall\n\tcmpq $-4095, %%rax"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

#define CALL_(number, a, b, c, d, e, f, ...) \
    compared(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
// A call through that site; what it returns is the kernel's own result, -errno for an error.
#define CALL(name, ...) CALL_(SYS_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)

// The call's number right before `syscall`, and no comparison behind it.
#define NUMBERED(function, number)                                                                  \
    static __attribute__((noinline, unused)) long function(long a, long b, long c) {                \
        long result;                                                                                \
        __asm__ volatile("nop\n\tmovl $" #number ", %%eax\n\tsyscall\n\tnop"                        \
                         : "=&a"(result)                                                            \
                         : "D"(a), "S"(b), "d"(c)                                                   \
                         : "rcx", "r11", "memory", "cc");                                           \
        return result;                                                                              \
    }

NUMBERED(numbered_read, 0)
NUMBERED(numbered_write, 1)
NUMBERED(numbered_getppid, 110)

// From here on its site is patched, if it ever is.
static inline void warm_up(void) { CALL(sched_yield); }

#define SAYS(expression) printf("%s = %ld\n", #expression, (long)(expression))

#endif

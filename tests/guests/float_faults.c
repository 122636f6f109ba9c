// Unmasked floating point exceptions: SIGFPE with the code of each, of SSE and of the x87 unit, left by siglongjmp(3).
// output: fixed
// cflags: -lm -ffp-contract=off -frounding-math
#include "guest.h"

#include <fenv.h>
#include <setjmp.h>

static sigjmp_buf back;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    CHECK(signal == SIGFPE);
    siglongjmp(back, info->si_code);
}

static volatile double one = 1, zero = 0, huge = 1e300, tiny = 1e-300, minus = -1;
static volatile long double xone = 1, xzero = 0, three = 3;

#define CODE(name, expected, statement)                                                                         \
    do {                                                                                                        \
        fedisableexcept(FE_ALL_EXCEPT);                                                                         \
        feclearexcept(FE_ALL_EXCEPT);                                                                           \
        int code_ = sigsetjmp(back, 1);                                                                         \
        if (code_ == 0) {                                                                                       \
            feenableexcept(expected);                                                                           \
            statement;                                                                                          \
            __asm__ volatile("fwait");                                                                          \
        }                                                                                                       \
        /* A handler begins with the exceptions masked, and siglongjmp(3) leaves them so. */                    \
        printf("%s: code %d, enabled %x\n", name, code_, (unsigned)fegetexcept());                              \
        CHECK(code_ != 0);                                                                                      \
    } while (0)

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGFPE, &action, NULL));
    volatile double result;
    volatile long double xresult;
    for (int i = 0; i < 2; i++) {
        CODE("division", FE_DIVBYZERO, result = one / zero);
        CODE("overflow", FE_OVERFLOW, result = huge * huge);
        CODE("underflow", FE_UNDERFLOW, result = tiny * tiny);
        CODE("invalid", FE_INVALID, result = zero / zero);
        CODE("root", FE_INVALID, result = __builtin_sqrt(minus));
        CODE("inexact", FE_INEXACT, result = one / 3);
        CODE("x87 division", FE_DIVBYZERO, xresult = xone / xzero);
        CODE("x87 invalid", FE_INVALID, xresult = xzero / xzero);
        CODE("x87 inexact", FE_INEXACT, xresult = xone / three);
    }
    (void)result, (void)xresult;
    fedisableexcept(FE_ALL_EXCEPT);
    printf("masked: %g %g\n", one / zero, huge * huge);
    return 0;
}

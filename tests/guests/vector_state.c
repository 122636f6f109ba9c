// A handler that spoils flags, x87 and vector registers: returning from it restores every one of them.
// output: fixed
#include "guest.h"

static volatile sig_atomic_t runs;

static void on_signal(int signal) {
    (void)signal;
    runs++;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm7; movdqa %%xmm0, %%xmm15; fninit; fldpi; std; cld"
                     ::: "xmm0", "xmm7", "xmm15");
}

int main(void) {
    handle(SIGUSR1, on_signal, 0);
    uint64_t in[2] = {0x0123456789abcdef, 0xfedcba9876543210}, out[2], carry = 9;
    double st = 2.718281828, back = 0;
    long result;
    for (int i = 0; i < 3; i++) {
        __asm__ volatile("movdqu %[in], %%xmm7; movdqa %%xmm7, %%xmm15; fldl %[st]; stc; syscall; setc %b[carry];"
                         "fstpl %[back]; pxor %%xmm7, %%xmm15; paddq %%xmm7, %%xmm15; movdqu %%xmm15, %[out]"
                         : "=a"(result), [out] "=m"(out), [back] "=m"(back), [carry] "+r"(carry)
                         : "a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1), [in] "m"(in), [st] "m"(st)
                         : "rcx", "r11", "memory", "cc", "xmm7", "xmm15");
        printf("%ld: %lx %lx, %.9f, carry %lx\n", result, out[0], out[1], back, carry & 0xff);
        CHECK(out[0] == in[0] && out[1] == in[1] && back == st && (carry & 1) == 1);
    }
    CHECK(runs == 3);
    return 0;
}

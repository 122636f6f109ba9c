// A handler changes xmm registers, ymm halves, the x87 control word and mxcsr in its frame: they are in force when it has returned.
// output: fixed
#include "guest.h"

#include <ucontext.h>

static volatile sig_atomic_t with_avx, saw_avx;

// The upper halves lie at this offset of the frame's extended area, as leaf 13 of cpuid says.
static unsigned upper_halves;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    fpregset_t area = ((ucontext_t *)context)->uc_mcontext.fpregs;
    for (int i = 0; i < 4; i++) area->_xmm[5].element[i] ^= 0xffffffffu;
    area->cwd = 0x27f;    // rounding as before, 53 bits
    area->mxcsr = 0x3f80; // rounding down
    uint32_t *reserved = (uint32_t *)((char *)area + 464);
    if (reserved[0] == 0x46505853 && with_avx) {
        uint64_t *components = (uint64_t *)((char *)area + 512);
        saw_avx = (components[0] & 4) != 0;
        if (saw_avx) ((uint64_t *)((char *)area + upper_halves))[5 * 2] += 1;
    }
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    with_avx = __builtin_cpu_supports("avx") != 0;
    uint32_t a = 13, b, c = 2, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    upper_halves = b;
    uint64_t in[4] = {1, 2, 3, 4}, out[4] = {0}, result = SYS_kill;
    uint32_t mxcsr_in = 0x1f80, mxcsr_out = 0;
    uint16_t word_in = 0x37f, word_out = 0;
    if (with_avx) {
        __asm__ volatile("ldmxcsr %[mi]; fldcw %[wi]; vmovdqu %[in], %%ymm5; syscall; vmovdqu %%ymm5, %[out];"
                         "stmxcsr %[mo]; fnstcw %[wo]; vzeroupper"
                         : "+a"(result), [out] "=m"(out), [mo] "=m"(mxcsr_out), [wo] "=m"(word_out)
                         : "D"(getpid()), "S"(SIGUSR1), [in] "m"(in), [mi] "m"(mxcsr_in), [wi] "m"(word_in)
                         : "rcx", "r11", "memory", "cc", "xmm5");
        CHECK(saw_avx && out[2] == 4 && out[3] == 4);
    } else {
        __asm__ volatile("ldmxcsr %[mi]; fldcw %[wi]; movdqu %[in], %%xmm5; syscall; movdqu %%xmm5, %[out];"
                         "stmxcsr %[mo]; fnstcw %[wo]"
                         : "+a"(result), [out] "=m"(out), [mo] "=m"(mxcsr_out), [wo] "=m"(word_out)
                         : "D"(getpid()), "S"(SIGUSR1), [in] "m"(in), [mi] "m"(mxcsr_in), [wi] "m"(word_in)
                         : "rcx", "r11", "memory", "cc", "xmm5");
    }
    __asm__ volatile("ldmxcsr %0; fldcw %1" ::"m"(mxcsr_in), "m"(word_in));
    printf("%lx %lx %lx %lx, mxcsr %x, control word %x\n", out[0], out[1], out[2], out[3], mxcsr_out, word_out);
    CHECK(result == 0 && out[0] == ~1ul && out[1] == ~2ul && mxcsr_out == 0x3f80 && word_out == 0x27f);
    return 0;
}

// Registers of 32 bytes live through a system call with a handler that spoils them all.
#include "guest.h"

static volatile sig_atomic_t runs;

__attribute__((target("avx2"))) static void on_signal(int signal) {
    (void)signal;
    runs++;
    __asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vmovdqa %%ymm0, %%ymm1; vmovdqa %%ymm0, %%ymm8; vmovdqa %%ymm0, %%ymm15"
                     ::: "xmm0", "xmm1", "xmm8", "xmm15");
}

__attribute__((target("avx2"))) static void lives(void) {
    uint64_t in[12], out[12], result;
    for (int i = 0; i < 12; i++) in[i] = 0x0101010101010101ul * (uint64_t)(i + 1);
    for (int round = 0; round < 4; round++) {
        memset(out, 0, sizeof out);
        __asm__ volatile("vmovdqu (%[in]), %%ymm1; vmovdqu 32(%[in]), %%ymm8; vmovdqu 64(%[in]), %%ymm15; syscall;"
                         "vmovdqu %%ymm1, (%[out]); vmovdqu %%ymm8, 32(%[out]); vmovdqu %%ymm15, 64(%[out]); vzeroupper"
                         : "=a"(result)
                         : "a"(SYS_kill), "D"(getpid()), "S"(round % 2 ? SIGUSR1 : 0), [in] "r"(in), [out] "r"(out)
                         : "rcx", "r11", "memory", "cc", "xmm1", "xmm8", "xmm15");
        CHECK(result == 0 && memcmp(in, out, sizeof in) == 0);
        printf("round %d: %lx %lx %lx\n", round, out[0], out[7], out[11]);
    }
    CHECK(runs == 2);
}

int main(void) {
    if (!__builtin_cpu_supports("avx2")) ABSENT("AVX2");
    handle(SIGUSR1, on_signal, 0);
    lives();
    return 0;
}

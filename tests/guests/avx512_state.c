// AVX-512 registers and masks live through a system call with a handler that spoils them all.
#include "guest.h"

static volatile sig_atomic_t runs;

__attribute__((target("avx512f,avx512bw"))) static void on_signal(int signal) {
    (void)signal;
    runs++;
    __asm__ volatile("vpternlogd $255, %%zmm0, %%zmm0, %%zmm0; vmovdqa64 %%zmm0, %%zmm9; vmovdqa64 %%zmm0, %%zmm17;"
                     "vmovdqa64 %%zmm0, %%zmm31; kxnorq %%k1, %%k1, %%k1; kxorq %%k6, %%k6, %%k6"
                     ::: "xmm0", "xmm9", "xmm17", "xmm31", "k1", "k6");
}

__attribute__((target("avx512f,avx512bw"))) static void lives(void) {
    uint64_t in[24], out[24], mask = 0x8123456789abcdef, mask_out = 0, complement = 0, result;
    for (int i = 0; i < 24; i++) in[i] = 0x0101010101010101ul * (uint64_t)(i + 1);
    for (int round = 0; round < 4; round++) {
        memset(out, 0, sizeof out);
        __asm__ volatile("vmovdqu64 (%[in]), %%zmm9; vmovdqu64 64(%[in]), %%zmm17; vmovdqu64 128(%[in]), %%zmm31;"
                         "kmovq %[mask], %%k1; knotq %%k1, %%k6; syscall;"
                         "vmovdqu64 %%zmm9, (%[out]); vmovdqu64 %%zmm17, 64(%[out]); vmovdqu64 %%zmm31, 128(%[out]);"
                         "kmovq %%k1, %[mo]; kmovq %%k6, %[co]; vzeroupper"
                         : "=a"(result), [mo] "=&r"(mask_out), [co] "=&r"(complement)
                         : "a"(SYS_kill), "D"(getpid()), "S"(round % 2 ? SIGUSR1 : 0), [in] "r"(in), [out] "r"(out),
                           [mask] "r"(mask)
                         : "rcx", "r11", "memory", "cc", "xmm9", "xmm17", "xmm31", "k1", "k6");
        CHECK(result == 0 && memcmp(in, out, sizeof in) == 0 && mask_out == mask && complement == ~mask);
        printf("round %d: %lx %lx %lx, mask %lx\n", round, out[0], out[15], out[23], mask_out);
    }
    CHECK(runs == 2);
}

int main(void) {
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) ABSENT("AVX-512");
    handle(SIGUSR1, on_signal, 0);
    lives();
    return 0;
}

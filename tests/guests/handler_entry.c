// What a handler finds at its first instruction: an aligned stack beyond the red zone, the direction flag clear, a fresh
// floating point state; behind it all is as it was.
// output: fixed
#include "guest.h"

extern void entry(int);
uint64_t seen_rsp, seen_flags;
uint32_t seen_mxcsr;
uint16_t seen_word;

__asm__(".text\n.globl entry\n.type entry, @function\nentry:\n"
        "mov %rsp, seen_rsp(%rip)\npushfq\npop %rax\nmov %rax, seen_flags(%rip)\nstmxcsr seen_mxcsr(%rip)\n"
        "fnstcw seen_word(%rip)\nret\n");

int main(void) {
    handle(SIGUSR1, entry, 0);
    for (int i = 0; i < 4; i++) {
        uint64_t rsp, flags = 0, zone = 0, result;
        uint32_t mxcsr = 0x7f80, mxcsr_behind = 0, usual = 0x1f80;
        uint16_t word = 0x0c7f, word_behind = 0, usual_word = 0x37f;
        __asm__ volatile("ldmxcsr %[m]; fldcw %[w]; mov %%rsp, %[rsp]; sub %[odd], %%rsp;"
                         "movq $0x1234, -8(%%rsp); movq $0x5678, -128(%%rsp); std; syscall;"
                         "mov -8(%%rsp), %[zone]; shl $16, %[zone]; add -128(%%rsp), %[zone];"
                         "mov %[rsp], %%rsp; sub $128, %%rsp; pushfq; pop %[flags]; add $128, %%rsp; cld;"
                         "stmxcsr %[mb]; fnstcw %[wb]; ldmxcsr %[usual]; fldcw %[uw]"
                         : "=a"(result), [rsp] "=&r"(rsp), [flags] "=&r"(flags), [zone] "=&r"(zone), [mb] "=m"(mxcsr_behind),
                           [wb] "=m"(word_behind)
                         : "a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1), [odd] "r"(512ul + (uint64_t)i * 8), [m] "m"(mxcsr),
                           [w] "m"(word), [usual] "m"(usual), [uw] "m"(usual_word)
                         : "rcx", "r11", "memory", "cc");
        uint64_t below = rsp - 512 - (uint64_t)i * 8 - 128;
        printf("%d: flags %lx, mxcsr %x, word %x; behind %lx, %x, %x, %lx\n", i, seen_flags & 0x500, seen_mxcsr, seen_word,
               flags & 0x500, mxcsr_behind, word_behind, zone);
        CHECK(result == 0 && seen_rsp % 16 == 8 && seen_rsp < below && below - seen_rsp < 16384);
        CHECK((seen_flags & 0x400) == 0 && (flags & 0x400) != 0 && zone == 0x12345678);
        CHECK(mxcsr_behind == mxcsr && word_behind == word);
    }
    return 0;
}

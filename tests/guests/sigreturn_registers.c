// A handler changes the registers of the frame it returns to: general ones, flags, and where the program goes on.
// output: fixed
#include "guest.h"

#include <ucontext.h>

static volatile sig_atomic_t runs;
extern char instead[];

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    runs++;
    r[REG_RAX] = 0x1111111122222222;
    r[REG_RBX] += 0x100;
    r[REG_R12] ^= -1;
    r[REG_R13] = r[REG_R12];
    r[REG_RSI] = 0x7fffffffffff;
    r[REG_RDX] = 0;
    r[REG_EFL] |= 1 | 0x40;
}

static void on_jump(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    runs++;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] = (greg_t)instead;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    for (long i = 0; i < 3; i++) {
        register uint64_t r12 __asm__("r12") = 0xffffffff00000000 + (uint64_t)i, r13 __asm__("r13") = 0;
        uint64_t a = SYS_kill, b = (uint64_t)i, s = SIGUSR1, d = 5, carry = 0, zero = 0;
        __asm__ volatile("xor %%ecx, %%ecx; inc %%ecx; syscall; setc %b[carry]; setz %b[zero]"
                         : "+a"(a), "+b"(b), "+S"(s), "+d"(d), "+r"(r12), "+r"(r13), [carry] "+r"(carry), [zero] "+r"(zero)
                         : "D"(getpid())
                         : "rcx", "r11", "memory", "cc");
        printf("rax %lx rbx %lx r12 %lx r13 %lx rsi %lx rdx %lx carry %ld zero %ld\n", a, b, r12, r13, s, d, carry, zero);
        CHECK(a == 0x1111111122222222 && b == (uint64_t)i + 0x100 && r12 == 0xffffffff - (uint64_t)i && r13 == r12);
        CHECK(carry == 1 && zero == 1 && d == 0);
    }
    action.sa_sigaction = on_jump;
    OK(sigaction(SIGUSR2, &action, NULL));
    uint64_t a = SYS_kill, passed = 0;
    __asm__ volatile("syscall; movl $1, %k[passed]; .globl instead; instead: addl $16, %k[passed]"
                     : "+a"(a), [passed] "+b"(passed)
                     : "D"(getpid()), "S"(SIGUSR2)
                     : "rcx", "r11", "memory", "cc");
    printf("passed %lx, %d handlers\n", passed, (int)runs);
    CHECK(passed == 16 && runs == 4);
    return 0;
}

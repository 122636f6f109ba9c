// The trap flag: SIGTRAP behind every instruction while a program has it set, and none when the handler has cleared it.
#include "guest.h"

#include <ucontext.h>

static volatile sig_atomic_t steps;
static unsigned long long first, last;

static void on_trap(int signal, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    CHECK(signal == SIGTRAP && info->si_code == TRAP_TRACE);
    if (steps == 0) first = (unsigned long long)r[REG_RIP];
    last = (unsigned long long)r[REG_RIP];
    steps++;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGTRAP, &action, NULL));
    int sum = 0;
    __asm__ volatile("sub $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq;"
                     "inc %0; add $5, %0; shl $1, %0; nop;"
                     "pushfq; andq $~0x100, (%%rsp); popfq; nop; add $128, %%rsp"
                     : "+r"(sum) : : "cc", "memory");
    printf("%d steps, %llu bytes, sum %d\n", (int)steps, last - first, sum);
    CHECK(sum == 12 && steps >= 6 && steps <= 8);
    return 0;
}

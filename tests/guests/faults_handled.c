// SIGFPE, SIGILL and SIGTRAP: the handler sees code and address and steps over the instruction.
#include "guest.h"

#include <ucontext.h>

static volatile int last_signal, last_code;

static void on_fault(int signal, siginfo_t *info, void *context) {
    ucontext_t *at = context;
    last_signal = signal;
    last_code = info->si_code;
    dprintf(1, "signal %d code %d address %p rip %llx\n", signal, info->si_code, info->si_addr,
            at->uc_mcontext.gregs[REG_RIP]);
    if (signal != SIGTRAP) at->uc_mcontext.gregs[REG_RIP] += 2;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGFPE, &action, NULL));
    OK(sigaction(SIGILL, &action, NULL));
    OK(sigaction(SIGTRAP, &action, NULL));
    int quotient = 1000, remainder = 0;
    __asm__ volatile("div %2" : "+a"(quotient), "+d"(remainder) : "c"(0));  // two bytes: f7 f1
    CHECK(last_signal == SIGFPE && last_code == FPE_INTDIV && quotient == 1000);
    __asm__ volatile("ud2");
    CHECK(last_signal == SIGILL && last_code == ILL_ILLOPN);
    __asm__ volatile("int3");
    CHECK(last_signal == SIGTRAP && last_code == SI_KERNEL);
    return 0;
}

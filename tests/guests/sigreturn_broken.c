// A frame that no processor can return to: SIGSEGV, whose handler leaves by siglongjmp(3). A program counter that is no address,
// a spoilt mxcsr, a stack pointer into nowhere.
// output: fixed
#include "guest.h"

#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile int how;

static void on_signal(int signal, siginfo_t *info, void *context) {
    ucontext_t *from = context;
    (void)signal, (void)info;
    switch (how) {
    case 0: from->uc_mcontext.gregs[REG_RIP] = 0; break;
    case 1: from->uc_mcontext.gregs[REG_RIP] = (greg_t)0x8000000000000000; break;
    case 2: from->uc_mcontext.fpregs->mxcsr = 0xffffffff; break;
    case 3: from->uc_mcontext.fpregs = (void *)8; break;
    case 4: from->uc_mcontext.gregs[REG_RSP] = 4096; break;
    }
}

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    printf("%d: signal %d code %d address %p\n", how, signal, info->si_code, info->si_addr);
    siglongjmp(back, 1);
}

int main(void) {
    static char stack[65536];
    OK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    action.sa_sigaction = on_fault;
    action.sa_flags |= SA_ONSTACK;
    OK(sigaction(SIGSEGV, &action, NULL));
    for (int round = 0; round < 2; round++) {
        for (how = 0; how < 5; how++) {
            if (sigsetjmp(back, 1) == 0) {
                raise(SIGUSR1);
                CHECK(!"a fault");
            }
        }
    }
    return 0;
}

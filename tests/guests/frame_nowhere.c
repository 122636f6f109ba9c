// No room for a handler's frame: the stack pointer points nowhere as a signal comes. SIGSEGV with a stack of its own is handled.
// output: fixed
#include "guest.h"

#include <setjmp.h>

static sigjmp_buf back;
static volatile sig_atomic_t runs;

static void on_signal(int signal) {
    (void)signal;
    CHECK(!"a handler without a stack");
}

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    runs++;
    dprintf(1, "signal %d code %d\n", signal, info->si_code);
    siglongjmp(back, 1);
}

int main(void) {
    static char stack[65536];
    OK(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL));
    handle(SIGUSR1, on_signal, 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    OK(sigaction(SIGSEGV, &action, NULL));
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(back, 1) == 0) {
            __asm__ volatile("mov $4096, %%esp; syscall" ::"a"(SYS_kill), "D"(getpid()), "S"(SIGUSR1)
                             : "rcx", "r11", "memory", "cc");
            __builtin_unreachable();
        }
    }
    CHECK(runs == 3);
    return 0;
}

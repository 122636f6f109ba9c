// What SIGSEGV says: SEGV_MAPERR or SEGV_ACCERR, the address, the error code of the processor; and SI_KERNEL for an address
// that is none.
// output: fixed
#include "guest.h"

#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf back;
static char *base;

static void on_fault(int signal, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    printf("signal %d code %d error %llx trap %lld address base+%lx\n", signal, info->si_code, r[REG_ERR], r[REG_TRAPNO],
           info->si_code == SI_KERNEL ? 0 : (long)((char *)info->si_addr - base));
    if (info->si_code == SI_KERNEL) CHECK(info->si_addr == NULL);
    siglongjmp(back, 1);
}

#define FAULTS(statement)                                                                                       \
    do {                                                                                                        \
        if (sigsetjmp(back, 1) == 0) {                                                                          \
            statement;                                                                                          \
            CHECK(!"a fault");                                                                                  \
        }                                                                                                       \
    } while (0)

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSEGV, &action, NULL));
    base = OK(mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(mprotect(base, 4096, PROT_READ));
    OK(munmap(base + 2 * 4096, 4096));
    OK(mprotect(base + 4 * 4096, 4096, PROT_READ | PROT_WRITE));
    base[4 * 4096] = (char)0xc3;
    volatile char *at = base;
    volatile char sink = at[5];
    FAULTS(at[17] = 1);
    FAULTS(sink = at[4096 + 3]);
    FAULTS(at[4096 + 3] = 1);
    FAULTS(sink = at[2 * 4096 + 9]);
    FAULTS(at[2 * 4096 + 9] = 1);
    // Writable, not executable.
    FAULTS(((void (*)(void))(uintptr_t)(at + 4 * 4096))());
    FAULTS(((void (*)(void))(uintptr_t)(at + 4096 + 1))());
    FAULTS(sink = *(volatile char *)0x8000000000000123);
    FAULTS(__asm__ volatile("hlt"));
    FAULTS(__asm__ volatile("movaps (%0), %%xmm0" ::"r"(base + 4 * 4096 + 8) : "xmm0"));
    (void)sink;
    return 0;
}

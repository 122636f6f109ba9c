// An overflowing stack: SIGSEGV is handled on another stack, and siglongjmp(3) leads back.
#include "guest.h"

#include <setjmp.h>

static sigjmp_buf point;
static volatile uintptr_t lowest;
static char *volatile fault;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    fault = info->si_addr;
    siglongjmp(point, signal);
}

static int descend(int depth) {
    volatile char frame[4000];
    frame[0] = (char)depth;
    lowest = (uintptr_t)frame;
    return depth == 1 << 30 ? 0 : descend(depth + 1) + frame[0];
}

int main(void) {
    char *area = OK(mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(sigaltstack(&(stack_t){.ss_sp = area, .ss_size = 65536}, NULL));
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    OK(sigaction(SIGSEGV, &action, NULL));
    char here;
    for (int round = 0; round < 2; round++) {
        if (sigsetjmp(point, 1) == 0) return descend(0);
        printf("fault at %p, %ld bytes below main\n", (void *)fault, (long)(&here - fault));
        CHECK(fault < &here && lowest - (uintptr_t)fault < 16384);
    }
    return 0;
}

// RLIMIT_STACK lowered by the program: its stack ends there with SIGSEGV, handled on another one; raised again, it grows further.
#include "guest.h"

#include <alloca.h>
#include <setjmp.h>
#include <sys/resource.h>

static sigjmp_buf back;
static char alternate[65536];
static volatile long deepest;
static char *top;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    CHECK(signal == SIGSEGV);
    deepest = top - (char *)info->si_addr;
    siglongjmp(back, 1);
}

__attribute__((noinline)) static int down(int pages) {
    volatile char *room = alloca(4096);
    room[0] = (char)pages;
    return pages == 0 ? 0 : down(pages - 1) + room[0] * 0 + 1;
}

int main(void) {
    char here;
    top = &here;
    struct rlimit limit;
    OK(sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL));
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    OK(sigaction(SIGSEGV, &action, NULL));
    OK(getrlimit(RLIMIT_STACK, &limit));
    OK(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, limit.rlim_max}));
    CHECK(down(100) == 100);
    if (sigsetjmp(back, 1) == 0) {
        down(1000);
        CHECK(!"the end of the stack");
    }
    printf("ends %ld below\n", deepest);
    CHECK(deepest > 900000 && deepest < 1100000);
    OK(setrlimit(RLIMIT_STACK, &limit));
    CHECK(down(1000) == 1000);
    return 0;
}

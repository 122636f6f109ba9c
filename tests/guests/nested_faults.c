// A fault in the handler of another: SIGSEGV's handler divides by zero, SIGFPE's executes an invalid instruction, SIGILL's steps
// over it; then one after the other is repaired. And out of all three by siglongjmp(3).
// output: fixed
#include "guest.h"

#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf back;
static char *page;
static volatile int depth, out;

static void on_fault(int signal, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    depth++;
    dprintf(1, "depth %d: signal %d, code %d\n", depth, signal, info->si_code);
    switch (signal) {
    case SIGSEGV:
        __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; xor %%ecx, %%ecx; div %%ecx" ::: "eax", "edx", "ecx", "cc");
        OK(mprotect(page, 4096, PROT_READ | PROT_WRITE));
        break;
    case SIGFPE:
        __asm__ volatile("ud2");
        r[REG_RCX] = 1;
        break;
    default:
        if (out) siglongjmp(back, depth);
        r[REG_RIP] += 2;
    }
    depth--;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int signals[] = {SIGSEGV, SIGFPE, SIGILL};
    for (int i = 0; i < 3; i++) OK(sigaction(signals[i], &action, NULL));
    page = OK(mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (int i = 0; i < 3; i++) {
        *(volatile int *)page = i;
        CHECK(*(volatile int *)page == i && depth == 0);
        OK(mprotect(page, 4096, PROT_NONE));
    }
    out = 1;
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(back, 1) == 0) *(volatile int *)page = i;
        CHECK(depth == 3);
        depth = 0;
        sigset_t now;
        OK(sigprocmask(SIG_SETMASK, NULL, &now));
        CHECK(!sigismember(&now, SIGSEGV) && !sigismember(&now, SIGFPE) && !sigismember(&now, SIGILL));
    }
    return 0;
}

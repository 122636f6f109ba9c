// A reservation without rights: each first touch faults, the handler opens the page in mprotect(2), the access is made again.
// output: fixed
#include "guest.h"

#include <ucontext.h>

enum { PAGES = 64 };
static char *area;
static volatile int faults, writes;

static void on_fault(int signal, siginfo_t *info, void *context) {
    CHECK(signal == SIGSEGV && info->si_code == SEGV_ACCERR);
    char *at = info->si_addr;
    CHECK(at >= area && at < area + PAGES * 4096);
    faults++;
    // Bit 1 of the error code: a write.
    if (((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2) writes++;
    int rights = ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2 ? PROT_READ | PROT_WRITE : PROT_READ;
    OK(mprotect((void *)((uintptr_t)at & ~4095ul), 4096, rights));
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSEGV, &action, NULL));
    area = OK(mmap(NULL, PAGES * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    unsigned sum = 0, next = 1;
    for (int i = 0; i < 400; i++) {
        next = next * 1103515245 + 12345;
        volatile unsigned *word = (unsigned *)(area + (next >> 8) % (PAGES * 4096 / 4) * 4);
        if (i % 3 == 0) *word += next;
        sum = sum * 31 + *word;
    }
    // One instruction that crosses into the next page, both closed.
    OK(mprotect(area, 2 * 4096, PROT_NONE));
    int before = faults;
    *(volatile uint64_t *)(area + 4092) = 0x1122334455667788;
    CHECK(faults == before + 2);
    memset(area, 'x', PAGES * 4096);
    printf("sum %x, %d faults, %d writes\n", sum, faults, writes);
    return 0;
}

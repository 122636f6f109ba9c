// SIGSEGV from null, unmapped, read-only and non-canonical addresses, each recovered by siglongjmp(3).
#include "guest.h"

#include <setjmp.h>

static sigjmp_buf point;
static volatile int code;
static void *volatile where;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    code = info->si_code;
    where = info->si_addr;
    siglongjmp(point, signal);
}

static void touch(volatile char *address) {
    if (sigsetjmp(point, 1) == 0) {
        *address = 1;
        printf("%p can be written\n", (void *)address);
    } else {
        printf("%p: code %d at %p\n", (void *)address, code, where);
    }
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSEGV, &action, NULL));
    char *page = OK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    touch((char *)0x18);
    CHECK(code == SEGV_MAPERR && where == (void *)0x18);
    touch(page + 9);
    CHECK(code == SEGV_ACCERR && where == page + 9);
    touch((char *)(uintptr_t)0x8000000000000000);
    CHECK(code == SI_KERNEL);
    OK(munmap(page, 4096));
    touch(page);
    CHECK(code == SEGV_MAPERR && where == page);
    return 0;
}

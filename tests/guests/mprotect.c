// mprotect(2): a write to a protected page is caught, the page is opened in the handler, the write goes on.
#include "guest.h"

static char *area;
static volatile int faults;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    faults++;
    CHECK((char *)info->si_addr == area + 4096 + 5);
    CHECK(info->si_code == SEGV_ACCERR);
    OK(mprotect(area + 4096, 4096, PROT_READ | PROT_WRITE));
}

int main(void) {
    area = OK(mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memset(area, '.', 3 * 4096);
    OK(mprotect(area + 4096, 4096, PROT_READ));
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSEGV, &action, NULL));
    ((volatile char *)area)[4096 + 5] = '!';
    printf("faults: %d, written: %c\n", faults, area[4096 + 5]);
    CHECK(faults == 1);
    FAILS(EINVAL, mprotect(area + 1, 4096, PROT_READ));
    OK(munmap(area, 4096));
    FAILS(ENOMEM, mprotect(area, 4096, PROT_READ));
    return 0;
}

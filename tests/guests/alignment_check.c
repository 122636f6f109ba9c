// The alignment check flag: a misaligned access is SIGBUS with BUS_ADRALN; the handler clears the flag in its frame.
// output: fixed
#include "guest.h"

#include <ucontext.h>

static volatile sig_atomic_t faults;
static int code;

static void on_bus(int signal, siginfo_t *info, void *context) {
    CHECK(signal == SIGBUS);
    faults++;
    code = info->si_code;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x40000ll;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGBUS, &action, NULL));
    static char bytes[16] __attribute__((aligned(16))) = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (int i = 0; i < 9; i++) {
        uint32_t value;
        // Within these instructions nothing else is misaligned.
        __asm__ volatile("sub $128, %%rsp; pushfq; orq $0x40000, (%%rsp); popfq; movl (%1), %0;"
                         "pushfq; andq $~0x40000, (%%rsp); popfq; add $128, %%rsp"
                         : "=&r"(value) : "r"(bytes + i) : "cc", "memory");
        printf("%d: %08x, %d faults\n", i, value, (int)faults);
        CHECK(faults == i - i / 4);
    }
    CHECK(code == BUS_ADRALN);
    return 0;
}

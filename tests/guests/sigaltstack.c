// sigaltstack(2): a handler on a stack of its own, and what the call says from there.
#include "guest.h"

static char *area;
static const size_t size = 65536;

static void on_signal(int signal) {
    char local;
    stack_t now;
    OK(sigaltstack(NULL, &now));
    CHECK(&local > area && &local < area + size);
    CHECK(now.ss_flags & SS_ONSTACK);
    dprintf(1, "signal %d at %p, flags %x\n", signal, (void *)&local, (unsigned)now.ss_flags);
    stack_t off = {.ss_flags = SS_DISABLE};
    CHECK(sigaltstack(&off, NULL) == -1 && errno == EPERM);
}

int main(void) {
    stack_t before, now;
    OK(sigaltstack(NULL, &before));
    CHECK(before.ss_flags == SS_DISABLE);
    area = OK(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(sigaltstack(&(stack_t){.ss_sp = area, .ss_size = size}, NULL));
    OK(sigaltstack(NULL, &now));
    CHECK(now.ss_sp == area && now.ss_size == size && now.ss_flags == 0);
    handle(SIGUSR1, on_signal, SA_ONSTACK);
    OK(raise(SIGUSR1));
    FAILS(ENOMEM, sigaltstack(&(stack_t){.ss_sp = area, .ss_size = 100}, NULL));
    OK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
    printf("smallest stack %ld\n", sysconf(_SC_MINSIGSTKSZ));
    return 0;
}

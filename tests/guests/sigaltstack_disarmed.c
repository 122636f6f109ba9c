// SS_AUTODISARM: the alternate stack is off while a handler runs on it, may be replaced there, and is back behind it. Without the
// flag a second handler goes on where the first is.
// output: fixed
#include "guest.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

enum { SIZE = 65536 };
static char first[SIZE], second[SIZE];
static volatile sig_atomic_t runs;
static int other;

static void print_stack(const char *where) {
    stack_t now;
    char local;
    OK(sigaltstack(NULL, &now));
    printf("%s: %s, size %zu, flags %x, on %s\n", where, now.ss_sp == first ? "first" : now.ss_sp == second ? "second" : "none",
           now.ss_size, (unsigned)now.ss_flags,
           &local > first && &local < first + SIZE     ? "first"
           : &local > second && &local < second + SIZE ? "second"
                                                       : "its own");
}

static void on_signal(int signal) {
    runs++;
    print_stack(signal == SIGUSR1 ? "outer" : "inner");
    if (signal != SIGUSR1) return;
    if (other) OK(sigaltstack(&(stack_t){.ss_sp = second, .ss_size = SIZE, .ss_flags = (int)SS_AUTODISARM}, NULL));
    OK(raise(SIGUSR2));
    print_stack("outer again");
}

int main(void) {
    setbuf(stdout, NULL);
    handle(SIGUSR1, on_signal, SA_ONSTACK);
    handle(SIGUSR2, on_signal, SA_ONSTACK);
    print_stack("before");
    OK(sigaltstack(&(stack_t){.ss_sp = first, .ss_size = SIZE}, NULL));
    OK(raise(SIGUSR1));
    print_stack("plain");
    OK(sigaltstack(&(stack_t){.ss_sp = first, .ss_size = SIZE, .ss_flags = (int)SS_AUTODISARM}, NULL));
    OK(raise(SIGUSR2));
    print_stack("disarming");
    other = 1;
    OK(raise(SIGUSR1));
    print_stack("behind");
    CHECK(runs == 5);
    OK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
    OK(raise(SIGUSR2));
    return 0;
}

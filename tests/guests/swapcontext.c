// makecontext(3), swapcontext(3): two coroutines on stacks of their own hand a number to each other; a signal is blocked in the
// one and comes in when the other goes on.
// output: fixed
#include "guest.h"

#include <ucontext.h>

static ucontext_t home, blocking, open_;
static volatile int value, runs;
static char stacks[2][65536];

static void on_signal(int signal) {
    CHECK(signal == SIGUSR1);
    runs++;
}

static void blocks(int limit) {
    char local;
    CHECK(&local > stacks[0] && &local < stacks[0] + sizeof stacks[0]);
    while (value < limit) {
        value++;
        int before = runs;
        OK(raise(SIGUSR1));
        CHECK(runs == before);
        OK(swapcontext(&blocking, &open_));
        CHECK(runs == before + 1);
    }
}

static void lets_in(int step, const char *name) {
    char local;
    CHECK(&local > stacks[1] && &local < stacks[1] + sizeof stacks[1]);
    for (;;) {
        printf("%s: %d, %d handled\n", name, value, runs);
        value += step;
        OK(swapcontext(&open_, &blocking));
    }
}

int main(void) {
    handle(SIGUSR1, on_signal, 0);
    OK(getcontext(&blocking));
    blocking.uc_stack = (stack_t){.ss_sp = stacks[0], .ss_size = sizeof stacks[0]};
    blocking.uc_link = &home;
    sigaddset(&blocking.uc_sigmask, SIGUSR1);
    makecontext(&blocking, (void (*)(void))blocks, 1, 20);
    OK(getcontext(&open_));
    open_.uc_stack = (stack_t){.ss_sp = stacks[1], .ss_size = sizeof stacks[1]};
    open_.uc_link = NULL;
    makecontext(&open_, (void (*)(void))lets_in, 2, 3, "open");
    OK(swapcontext(&home, &blocking));
    printf("end: %d\n", value);
    sigset_t now;
    OK(sigprocmask(SIG_SETMASK, NULL, &now));
    CHECK(!sigismember(&now, SIGUSR1) && value == 20 && runs == 5);
    return 0;
}

// The frame of a signal holds what was on the stack before in the places that nobody writes. After a fork the kernel clears them.
#include "guest.h"

#include <sys/wait.h>
#include <ucontext.h>

static unsigned long seen;

static void handler(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    // The area of FXSAVE behind its registers, up to what the kernel itself puts there.
    const unsigned char *state = (const unsigned char *)((const ucontext_t *)context)->uc_mcontext.fpregs;
    for (int i = 416; i < 464; i++) seen = seen * 31 + state[i];
}

__attribute__((noinline)) static void litter(void) {
    volatile unsigned char stack[16384];
    for (size_t i = 0; i < sizeof stack; i++) stack[i] = (unsigned char)(i | 1);
}

// It clears them where the extended state begins in a page that was not written since, and its header is in the next one.
__attribute__((noinline)) static void deeper(size_t bytes) {
    volatile unsigned char room[bytes];
    room[0] = 1;
    OK(raise(SIGUSR1));
    CHECK(room[0] == 1);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    for (size_t bytes = 1; bytes < 4096; bytes += 200) {
        litter();
        deeper(bytes);
        litter();
        pid_t child = OK(fork());
        if (child == 0) _exit(0);
        deeper(bytes);
        CHECK(waitpid(child, NULL, 0) == child);
        printf("%zu: %lx\n", bytes, seen);
    }
    return 0;
}

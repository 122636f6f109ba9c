// signal: 8
// A fault whose signal is ignored: the program ends all the same.
#include "guest.h"

int main(void) {
    handle(SIGFPE, SIG_IGN, 0);
    OK(raise(SIGFPE));
    printf("a signal that is sent is ignored\n");
    fflush(stdout);
    __asm__ volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" ::: "eax", "edx", "ecx", "cc");
    return 0;
}

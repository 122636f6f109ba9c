// Holds the answer of getppid in a register over something that has nothing to do with it: `held call`, `refused`, `time`, `often`,
// `features`, `illegal` or `end`. The same before that a few times, over a call.
#include <signal.h>
#include <unistd.h>

#define HELD(next)                                                                                                \
    __asm__ volatile("movl $110, %%eax; syscall; movq %%rax, %%r12; xorl %%edi, %%edi; " next                     \
                     :                                                                                            \
                     :                                                                                            \
                     : "rax", "rbx", "rcx", "rdx", "rdi", "r11", "r12", "memory")

static void over(int signal) {
    (void)signal;
    _exit(0);
}

static void call(void) { HELD("movl $102, %%eax; syscall"); }

// A site that is patched when this has been done often.
static void reads(void) { HELD("rdtsc; movl %%eax, %%eax; movl %%edx, %%edx"); }

int main(int argc, char **argv) {
    signal(SIGILL, over);
    for (int i = 0; i < 4; i++) call();
    switch (argc == 2 ? argv[1][0] : 0) {
    case 'c': call(); return 0;
    case 'r': HELD("movl $425, %%eax; syscall"); return 0;
    case 'f': HELD("xorl %%eax, %%eax; xorl %%ecx, %%ecx; cpuid"); return 0;
    case 'i': HELD("ud2"); return 0;
    case 'e': HELD("movl $231, %%eax; syscall"); return 0;
    case 't': HELD("rdtsc"); return 0;
    case 'o':
        for (int i = 0; i < 3000; i++) reads();
        return 0;
    default: return 2;
    }
}

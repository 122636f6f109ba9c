// rt_sigaction(2) of every signal: what is set is given back, flags, mask and restorer; SIGKILL and SIGSTOP are refused, and
// never in a mask; flags that the kernel does not know are cleared.
// output: fixed
#include "guest.h"

struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static void on_signal(int signal) { (void)signal; }
static void restorer(void) { _exit(CHECK_FAILED); }

int main(void) {
    const unsigned long flags[] = {SA_SIGINFO, SA_RESTART, SA_NODEFER | SA_ONSTACK, SA_RESETHAND | SA_NOCLDSTOP | SA_NOCLDWAIT};
    for (int signal = 1; signal <= 64; signal++) {
        struct kernel_action now, old, set = {on_signal, flags[signal % 4] | 0x04000000, restorer, 0x9e3779b97f4a7c15ul * (unsigned long)signal};
        if (signal == SIGKILL || signal == SIGSTOP) {
            FAILS(EINVAL, syscall(SYS_rt_sigaction, signal, &set, NULL, 8));
            OK(syscall(SYS_rt_sigaction, signal, NULL, &old, 8));
            CHECK(old.handler == SIG_DFL && old.flags == 0 && old.mask == 0);
            continue;
        }
        OK(syscall(SYS_rt_sigaction, signal, &set, &old, 8));
        OK(syscall(SYS_rt_sigaction, signal, NULL, &now, 8));
        CHECK(now.handler == on_signal && now.restorer == restorer && now.flags == set.flags);
        CHECK(now.mask == (set.mask & ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1))));
        printf("%d: flags %lx mask %lx\n", signal, now.flags, now.mask);
        set = (struct kernel_action){SIG_IGN, 0x400 | 0x40000000, NULL, 0};
        OK(syscall(SYS_rt_sigaction, signal, &set, &old, 8));
        CHECK(memcmp(&old, &now, sizeof old) == 0);
        OK(syscall(SYS_rt_sigaction, signal, &old, &now, 8));
        printf("    then handler %p flags %lx\n", (void *)now.handler, now.flags);
        CHECK(now.handler == SIG_IGN && !(now.flags & 0x400));
    }
    struct kernel_action set = {SIG_DFL, 0, NULL, 0};
    FAILS(EINVAL, syscall(SYS_rt_sigaction, 0, &set, NULL, 8));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, 65, &set, NULL, 8));
    FAILS(EINVAL, syscall(SYS_rt_sigaction, SIGUSR1, &set, NULL, 4));
    FAILS(EFAULT, syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8));
    return 0;
}

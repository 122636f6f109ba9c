// SA_SIGINFO: who sent a signal and how: kill, tgkill, sigqueue, a timer, a fault; and the context it came from.
#include "guest.h"

#include <ucontext.h>

static volatile siginfo_t last;

static void on_signal(int signal, siginfo_t *info, void *context) {
    last = *info;
    CHECK(signal == info->si_signo);
    ucontext_t *from = context;
    dprintf(1, "signal %d code %d pid %d uid %d value %d, rip %llx rsp %llx\n", signal, info->si_code, info->si_pid,
            info->si_uid, info->si_value.sival_int, from->uc_mcontext.gregs[REG_RIP],
            from->uc_mcontext.gregs[REG_RSP]);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO}, now;
    sigaddset(&action.sa_mask, SIGUSR2);
    int signals[] = {SIGUSR1, SIGTERM, SIGALRM, SIGRTMIN + 3};
    for (int i = 0; i < 4; i++) OK(sigaction(signals[i], &action, NULL));
    OK(sigaction(SIGUSR1, NULL, &now));
    CHECK(now.sa_sigaction == on_signal && now.sa_flags & SA_SIGINFO && sigismember(&now.sa_mask, SIGUSR2));
    OK(kill(getpid(), SIGUSR1));
    CHECK(last.si_code == SI_USER && last.si_pid == getpid());
    OK(syscall(SYS_tgkill, getpid(), getpid(), SIGTERM));
    CHECK(last.si_code == SI_TKILL && last.si_uid == getuid());
    OK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = 99}));
    CHECK(last.si_code == SI_QUEUE && last.si_value.sival_int == 99);
    tick_every(10, 10);
    pause();
    tick_every(0, 0);
    CHECK(last.si_signo == SIGALRM && last.si_code == SI_KERNEL);
    FAILS(EINVAL, sigaction(SIGKILL, &action, NULL));
    FAILS(EINVAL, kill(getpid(), 65));
    FAILS(ESRCH, kill(0x3fffffff, 0));
    OK(kill(getpid(), 0));
    return 0;
}

// Calls that fail and have done a part: mprotect(2) and madvise(2) over a hole, rt_sigprocmask(2), rt_sigaction(2) and
// sigaltstack(2), setitimer(2), timerfd_settime(2) and prlimit(2) that cannot say what was before. What they did stays.
// output: fixed
#include "guest.h"

#include <setjmp.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>

static sigjmp_buf back;
static volatile sig_atomic_t runs;
static void *const nowhere = (void *)8;

static void on_signal(int signal) {
    (void)signal;
    runs++;
}

static void on_fault(int signal) {
    (void)signal;
    siglongjmp(back, 1);
}

static int writable(volatile char *at) {
    if (sigsetjmp(back, 1) != 0) return 0;
    *at = *at;
    return 1;
}

int main(void) {
    handle(SIGSEGV, on_fault, 0);
    char *area = OK(mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    memset(area, 'x', 8 * 4096);
    OK(munmap(area + 3 * 4096, 4096));
    FAILS(ENOMEM, madvise(area + 4096, 5 * 4096, MADV_DONTNEED));
    for (int i = 0; i < 8; i++) printf("%d", i == 3 ? 0 : area[i * 4096] == 'x');
    printf("\n");
    CHECK(area[0] == 'x' && area[4096] == 0 && area[2 * 4096] == 0 && area[4 * 4096] == 0 && area[6 * 4096] == 'x');
    FAILS(ENOMEM, mprotect(area + 4096, 5 * 4096, PROT_READ));
    for (int i = 0; i < 8; i++) printf("%d", i == 3 ? 0 : writable(area + i * 4096));
    printf("\n");
    CHECK(writable(area) && !writable(area + 4096) && !writable(area + 2 * 4096) && writable(area + 4 * 4096));

    struct itimerval alarm_at = {.it_value = {50, 0}, .it_interval = {40, 0}}, timer;
    FAILS(EFAULT, syscall(SYS_setitimer, ITIMER_REAL, &alarm_at, nowhere));
    OK(getitimer(ITIMER_REAL, &timer));
    printf("alarm %d\n", timer.it_value.tv_sec >= 10 && timer.it_interval.tv_sec == 40);
    FAILS(EFAULT, syscall(SYS_setitimer, ITIMER_REAL, nowhere, NULL));
    OK(getitimer(ITIMER_REAL, &timer));
    printf("alarm %d\n", timer.it_value.tv_sec >= 10 && timer.it_interval.tv_sec == 40);
    int clock = OK(timerfd_create(CLOCK_MONOTONIC, 0));
    struct itimerspec at = {.it_value = {50, 0}, .it_interval = {40, 0}}, left;
    FAILS(EFAULT, syscall(SYS_timerfd_settime, clock, 0, &at, nowhere));
    OK(timerfd_gettime(clock, &left));
    printf("timer %d\n", left.it_value.tv_sec >= 10 && left.it_interval.tv_sec == 40);
    struct rlimit limit;
    FAILS(EFAULT, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, (struct rlimit[]){{77, 78}}, nowhere));
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    printf("limit %lu %lu\n", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);

    sigset_t set, now;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    FAILS(EFAULT, syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, nowhere, 8));
    OK(sigprocmask(SIG_SETMASK, NULL, &now));
    printf("blocked %d\n", sigismember(&now, SIGUSR1));
    handle(SIGUSR1, on_signal, 0);
    OK(raise(SIGUSR1));
    int before = runs;
    FAILS(EFAULT, syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, nowhere, 8));
    printf("%d before, %d behind\n", before, (int)runs);

    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask;
    } ignored = {SIG_IGN, 0, NULL, 0}, found;
    FAILS(EFAULT, syscall(SYS_rt_sigaction, SIGUSR2, &ignored, nowhere, 8));
    OK(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &found, 8));
    printf("ignored %d\n", found.handler == SIG_IGN);

    static char stack[65536];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack}, is;
    FAILS(EFAULT, syscall(SYS_sigaltstack, &other, nowhere));
    OK(sigaltstack(NULL, &is));
    printf("stack %d\n", is.ss_sp == stack);
    handle(SIGUSR1, on_signal, SA_ONSTACK);
    OK(raise(SIGUSR1));
    printf("%d handled\n", (int)runs);
    return 0;
}

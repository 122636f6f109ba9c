// Signals of POSIX timers: once, to a date, periodic with expiries that were missed, to the thread, with a value, the usual one;
// taken by a handler, by sigtimedwait(2) and from a signalfd; of a timer that is deleted while its signal waits.
#include "guest.h"

#include <sys/signalfd.h>

static volatile siginfo_t last;
static volatile sig_atomic_t count;
static timer_t timer;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    CHECK(signal == info->si_signo);
    last = *info;
    count++;
}

static void mask(int how, int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    OK(sigprocmask(how, &set, NULL));
}

// Waits for a signal with the handler, which may have run before.
static void wait_for(int signal, int wanted) {
    sigset_t set;
    mask(SIG_BLOCK, signal);
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    sigdelset(&set, signal);
    while (count < wanted) sigsuspend(&set);
    mask(SIG_UNBLOCK, signal);
}

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    OK(clock_gettime(clock, &t));
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void sleep_until(int64_t ns) {
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL)) {}
}

static void set(int flags, int64_t value, int64_t interval) {
    struct itimerspec spec = {
        .it_value = {value / 1000000000, value % 1000000000},
        .it_interval = {interval / 1000000000, interval % 1000000000},
    };
    OK(timer_settime(timer, flags, &spec, NULL));
}

static void create(clockid_t clock, int notify, int signal, int value) {
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = signal, .sigev_value.sival_int = value};
    if (notify == SIGEV_THREAD_ID) event._sigev_un._tid = gettid();
    OK(timer_create(clock, &event, &timer));
    count = 0;
}

static void came(int signal, int value) {
    // No other one is to come between the looks.
    mask(SIG_BLOCK, signal);
    CHECK(last.si_signo == signal && last.si_code == SI_TIMER && last.si_value.sival_int == value);
    CHECK(last.si_timerid == (int)(intptr_t)timer && timer_getoverrun(timer) == last.si_overrun);
    printf("signal %d of timer %d, value %d, overrun %d\n", signal, last.si_timerid, value, last.si_overrun);
    mask(SIG_UNBLOCK, signal);
}

static void once(clockid_t clock, int notify, int signal) {
    struct itimerspec left;
    create(clock, notify, signal, 4711);
    int64_t start = now_ns(clock);
    set(0, 2000000, 0);
    wait_for(signal, 1);
    CHECK(now_ns(clock) - start >= 2000000);
    came(signal, 4711);
    CHECK(last.si_overrun == 0);
    OK(timer_gettime(timer, &left));
    CHECK(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
    // To a date, ahead and past.
    int64_t date = now_ns(clock) + 2000000;
    set(TIMER_ABSTIME, date, 0);
    wait_for(signal, 2);
    CHECK(now_ns(clock) >= date);
    set(TIMER_ABSTIME, date, 0);
    wait_for(signal, 3);
    came(signal, 4711);
    usleep(3000);
    CHECK(count == 3);
    OK(timer_delete(timer));
}

// All expiries are heard of, those that were missed by their number.
static void periodic(clockid_t clock, int signal) {
    create(clock, SIGEV_SIGNAL, signal, 12);
    mask(SIG_BLOCK, signal);
    int64_t before_set = now_ns(CLOCK_MONOTONIC);
    set(0, 1000000, 1000000);
    sleep_until(now_ns(CLOCK_MONOTONIC) + 10500000);
    CHECK(count == 0 && timer_getoverrun(timer) == 0);
    mask(SIG_UNBLOCK, signal);
    CHECK(count >= 1);
    int64_t most = (now_ns(CLOCK_MONOTONIC) - before_set) / 1000000 + 1;
    CHECK(count > 1 || (last.si_overrun >= 9 && last.si_overrun < most));
    came(signal, 12);
    int before = count;
    wait_for(signal, before + 3);
    came(signal, 12);
    struct itimerspec left;
    OK(timer_gettime(timer, &left));
    CHECK(left.it_interval.tv_nsec == 1000000 && left.it_value.tv_nsec <= 1000000);
    // Set anew it begins to count anew.
    set(0, 500000000000, 0);
    CHECK(timer_getoverrun(timer) == 0);
    before = count;
    usleep(3000);
    CHECK(count <= before + 1);
    OK(timer_delete(timer));
}

static void deleted(int signal) {
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, signal, 1);
    mask(SIG_BLOCK, signal);
    set(0, 1, 0);
    sigset_t pending;
    do OK(sigpending(&pending));
    while (!sigismember(&pending, signal));
    OK(timer_delete(timer));
    mask(SIG_UNBLOCK, signal);
    // Linux drops it since 6.13; POSIX leaves that open.
    printf("deleted while its signal waited: %d came\n", (int)count);
    CHECK(count <= 1);
    int before = count;
    usleep(1000);
    CHECK(count == before);
}

static void taken(int signal) {
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, signal, 3);
    mask(SIG_BLOCK, signal);
    sigset_t set_of;
    sigemptyset(&set_of);
    sigaddset(&set_of, signal);
    set(0, 1000000, 2000000);
    sleep_until(now_ns(CLOCK_MONOTONIC) + 8000000);
    siginfo_t info;
    CHECK(sigtimedwait(&set_of, &info, NULL) == signal);
    CHECK(info.si_code == SI_TIMER && info.si_overrun >= 3 && info.si_value.sival_int == 3);
    CHECK(timer_getoverrun(timer) == info.si_overrun);
    int fd = OK(signalfd(-1, &set_of, SFD_CLOEXEC));
    struct signalfd_siginfo read_info;
    CHECK(read(fd, &read_info, sizeof read_info) == sizeof read_info);
    CHECK(read_info.ssi_code == SI_TIMER && read_info.ssi_int == 3);
    CHECK((int)read_info.ssi_tid == (int)(intptr_t)timer);
    CHECK(timer_getoverrun(timer) == (int)read_info.ssi_overrun);
    printf("taken: overrun %d and %u\n", info.si_overrun, read_info.ssi_overrun);
    OK(timer_delete(timer));
    OK(close(fd));
    while (sigtimedwait(&set_of, &info, &(struct timespec){0}) > 0) {}
    mask(SIG_UNBLOCK, signal);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    int rt = SIGRTMIN + 5;
    OK(sigaction(SIGALRM, &action, NULL));
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(sigaction(rt, &action, NULL));
    once(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1);
    once(CLOCK_REALTIME, SIGEV_SIGNAL, rt);
    once(CLOCK_BOOTTIME, SIGEV_THREAD_ID, SIGUSR1);
    periodic(CLOCK_MONOTONIC, rt);
    periodic(CLOCK_REALTIME, SIGUSR1);
    deleted(SIGUSR1);
    deleted(rt);
    taken(rt);
    taken(SIGUSR1);
    // The usual signal tells the id.
    int id;
    OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id));
    timer = (timer_t)(intptr_t)id;
    count = 0;
    set(0, 1000000, 0);
    wait_for(SIGALRM, 1);
    came(SIGALRM, id);
    OK(timer_delete(timer));
    return 0;
}

// timer_create(2), timer_settime(2), timer_gettime(2), timer_getoverrun(2), timer_delete(2) without signals: what is left, what
// was set before, arguments that are none.
#include "guest.h"

static int64_t ns(struct timespec t) { return t.tv_sec * INT64_C(1000000000) + t.tv_nsec; }

static int64_t now_of(clockid_t clock) {
    struct timespec t;
    OK(clock_gettime(clock, &t));
    return ns(t);
}

static struct timespec at(int64_t ns) { return (struct timespec){ns / 1000000000, ns % 1000000000}; }

static void of_clock(clockid_t clock) {
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    timer_t timer;
    OK(timer_create(clock, &event, &timer));
    struct itimerspec far = {.it_value = {100, 0}, .it_interval = {7, 5}}, now, old, off = {0};
    OK(timer_gettime(timer, &now));
    CHECK(ns(now.it_value) == 0 && ns(now.it_interval) == 0);
    OK(timer_settime(timer, 0, &far, &old));
    CHECK(ns(old.it_value) == 0);
    OK(timer_gettime(timer, &now));
    printf("clock %d: left %ld.%09ld\n", clock, now.it_value.tv_sec, now.it_value.tv_nsec);
    CHECK(ns(now.it_value) > 50000000000 && ns(now.it_value) <= 100000000000 && ns(now.it_interval) == 7000000005);
    // To a date: the same in 30 s.
    far = (struct itimerspec){.it_value = at(now_of(clock) + 30000000000)};
    OK(timer_settime(timer, TIMER_ABSTIME, &far, &old));
    CHECK(old.it_interval.tv_sec == 7 && old.it_value.tv_sec >= 50);
    OK(timer_gettime(timer, &now));
    CHECK(ns(now.it_value) > 10000000000 && ns(now.it_value) <= 30000000000 && ns(now.it_interval) == 0);
    // Nobody hears of what has passed.
    far = (struct itimerspec){.it_value = {0, 1}};
    OK(timer_settime(timer, TIMER_ABSTIME, &far, NULL));
    OK(timer_gettime(timer, &now));
    CHECK(ns(now.it_value) == 0);
    // The next one is always less than an interval away.
    far.it_interval.tv_nsec = 300000000;
    OK(timer_settime(timer, TIMER_ABSTIME, &far, NULL));
    OK(timer_gettime(timer, &now));
    CHECK(ns(now.it_value) > 0 && ns(now.it_value) <= 300000000);
    CHECK(timer_getoverrun(timer) == 0);
    OK(timer_settime(timer, 0, &off, NULL));
    OK(timer_gettime(timer, &now));
    // A kernel may still tell of the expiry that would have come next.
    CHECK(ns(now.it_value) <= 300000000 && ns(now.it_interval) == 0);
    OK(timer_delete(timer));
    FAILS(EINVAL, timer_gettime(timer, &now));
}

int main(void) {
    of_clock(CLOCK_REALTIME);
    of_clock(CLOCK_MONOTONIC);
    of_clock(CLOCK_BOOTTIME);

    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    struct itimerspec setting = {.it_value = {100, 0}}, now;
    int id = -7, *nowhere = (int *)8;
    FAILS(EINVAL, syscall(SYS_timer_create, 4711, &event, &id));
    FAILS(EOPNOTSUPP, syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, &event, &id));
    event.sigev_notify = 77;
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
    event = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 65};
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    event._sigev_un._tid = getppid();
    FAILS(EINVAL, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
    FAILS(EFAULT, syscall(SYS_timer_create, CLOCK_MONOTONIC, nowhere, &id));
    CHECK(id == -7);
    event = (struct sigevent){.sigev_notify = SIGEV_NONE};
    FAILS(EFAULT, syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, nowhere));

    OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
    printf("id %d\n", id);
    CHECK(id >= 0);
    FAILS(EFAULT, syscall(SYS_timer_settime, id, 0, nowhere, NULL));
    FAILS(EFAULT, syscall(SYS_timer_gettime, id, nowhere));
    setting.it_value.tv_nsec = 1000000000;
    FAILS(EINVAL, syscall(SYS_timer_settime, id, 0, &setting, NULL));
    OK(syscall(SYS_timer_gettime, id, &now));
    CHECK(ns(now.it_value) == 0);
    // It is set, though what it was set to before cannot be written.
    setting.it_value.tv_nsec = 0;
    FAILS(EFAULT, syscall(SYS_timer_settime, id, 0, &setting, nowhere));
    OK(syscall(SYS_timer_gettime, id, &now));
    CHECK(now.it_value.tv_sec >= 50);
    int other = id + 1000;
    FAILS(EINVAL, syscall(SYS_timer_settime, other, 0, &setting, NULL));
    FAILS(EINVAL, syscall(SYS_timer_gettime, other, &now));
    FAILS(EINVAL, syscall(SYS_timer_getoverrun, other));
    FAILS(EINVAL, syscall(SYS_timer_delete, other));
    OK(syscall(SYS_timer_delete, id));
    FAILS(EINVAL, syscall(SYS_timer_delete, id));
    FAILS(EINVAL, syscall(SYS_timer_settime, id, 0, &setting, NULL));
    FAILS(EINVAL, syscall(SYS_timer_getoverrun, id));
    return 0;
}

// POSIX timers that count processor time, of the process and of the thread, by each name of the clocks: they tick as the program
// uses the processor, not while it sleeps.
#include "guest.h"

#include <pthread.h>

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

static int64_t used(clockid_t clock) {
    struct timespec t;
    OK(clock_gettime(clock, &t));
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void compute_until(clockid_t clock, int wanted) {
    while (ticks < wanted) {
        for (volatile unsigned i = 0; i < 100000; i++) {}
        used(clock);
    }
}

static void runs(clockid_t clock, clockid_t named) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
    timer_t timer;
    ticks = 0;
    OK(timer_create(named, &event, &timer));
    struct itimerspec spec = {.it_value = {0, 5000000}, .it_interval = {0, 5000000}}, now;
    OK(timer_settime(timer, 0, &spec, NULL));
    compute_until(clock, 3);
    OK(timer_gettime(timer, &now));
    CHECK(now.it_interval.tv_nsec >= 5000000 && now.it_interval.tv_nsec < 10000000);
    // To a date on the clock.
    int64_t date = used(clock) + 6000000;
    spec = (struct itimerspec){.it_value = {date / 1000000000, date % 1000000000}};
    OK(timer_settime(timer, TIMER_ABSTIME, &spec, NULL));
    int before = ticks;
    compute_until(clock, before + 1);
    printf("clock %d as %d: date %ld, then %ld, %d ticks\n", clock, named, (long)date, (long)used(clock), (int)ticks);
    // Asleep no time is used.
    spec = (struct itimerspec){.it_value = {0, 900000000}};
    OK(timer_settime(timer, 0, &spec, NULL));
    before = ticks;
    usleep(20000);
    OK(timer_gettime(timer, &now));
    CHECK(ticks == before && now.it_value.tv_nsec > 400000000);
    OK(timer_delete(timer));
}

int main(void) {
    clockid_t process, thread;
    handle(SIGRTMIN + 2, on_tick, SA_RESTART);
    CHECK(clock_getcpuclockid(0, &process) == 0);
    CHECK(pthread_getcpuclockid(pthread_self(), &thread) == 0);
    runs(CLOCK_PROCESS_CPUTIME_ID, CLOCK_PROCESS_CPUTIME_ID);
    runs(CLOCK_THREAD_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID);
    runs(CLOCK_PROCESS_CPUTIME_ID, process);
    runs(CLOCK_THREAD_CPUTIME_ID, thread);
    return 0;
}

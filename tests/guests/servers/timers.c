// Timers that run across a failover: nothing comes early, nothing is lost.
#include "server.h"

#include <sys/signalfd.h>
#include <sys/timerfd.h>

static int once, periodic, dated, signals = -1;
static int64_t due, start, dated_due, alarm_due;
static uint64_t counted;
static volatile sig_atomic_t alarms;

static void on_alarm(int signal) {
    (void)signal;
    alarms++;
}

static int timer(clockid_t clock, long first_ms, long interval_ms) {
    int fd = OK(timerfd_create(clock, 0));
    struct itimerspec spec = {
        .it_value = {first_ms / 1000, first_ms % 1000 * 1000000},
        .it_interval = {interval_ms / 1000, interval_ms % 1000 * 1000000},
    };
    OK(timerfd_settime(fd, 0, &spec, NULL));
    return fd;
}

static uint64_t expiries(int fd) {
    uint64_t count;
    CHECK(read(fd, &count, 8) == 8);
    return count;
}

static void set_timers(const char *argument) {
    long first = atol(argument);
    start = now_ms();
    due = start + first;
    once = timer(CLOCK_MONOTONIC, first, 0);
    periodic = timer(CLOCK_BOOTTIME, 100, 100);
    dated = OK(timerfd_create(CLOCK_REALTIME, 0));
    struct timespec now;
    OK(clock_gettime(CLOCK_REALTIME, &now));
    struct itimerspec spec = {.it_value = {now.tv_sec + 1, now.tv_nsec}};
    OK(timerfd_settime(dated, TFD_TIMER_ABSTIME, &spec, NULL));
    dated_due = start + 1000;
    counted = expiries(periodic);
    reply("set");
}

// What is left of the one-shot timer is what it should be, and at most so many milliseconds more.
static void left(const char *argument) {
    struct itimerspec spec;
    OK(timerfd_gettime(once, &spec));
    int64_t left_ms = spec.it_value.tv_sec * 1000 + spec.it_value.tv_nsec / 1000000;
    int64_t expected = due - now_ms();
    int sound = left_ms >= expected - 1 && left_ms <= expected + atol(argument);
    if (sound)
        reply("left as expected");
    else
        reply("%ld ms left, expected %ld", (long)left_ms, (long)expected);
}

static void wait_once(const char *argument) {
    (void)argument;
    uint64_t count = expiries(once);
    const char *when = punctual(due);
    reply("%lu, %s", (unsigned long)count, when);
}

static void wait_dated(const char *argument) {
    (void)argument;
    uint64_t count = expiries(dated);
    reply("%lu, %s", (unsigned long)count, punctual(dated_due));
}

// All expiries since the start are counted, also those that nobody read meanwhile: as many as there were tenths of a second.
static void count_periods(const char *argument) {
    (void)argument;
    counted += expiries(periodic);
    int64_t periods = (now_ms() - start) / 100;
    int64_t missing = periods - (int64_t)counted;
    // Between the two looks at the time a period may end.
    if (missing >= -1 && missing <= 1)
        reply("all periods counted");
    else
        reply("%lu expiries in %ld periods", (unsigned long)counted, (long)periods);
}

// SIGALRM while the server waits for the next request.
static void set_alarm(const char *argument) {
    handle(SIGALRM, on_alarm, SA_RESTART);
    alarm_due = now_ms() + atol(argument);
    tick_every(atol(argument), 0);
    reply("alarm set");
}

static void alarm_seconds(const char *argument) {
    handle(SIGALRM, on_alarm, SA_RESTART);
    alarm_due = now_ms() + atol(argument) * 1000;
    reply("%u left of the old one", alarm((unsigned)atol(argument)));
}

static void wait_alarm(const char *argument) {
    int wanted = atoi(argument);
    sigset_t blocked, old;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &blocked, &old));
    while (alarms < wanted) sigsuspend(&old);
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
    reply("%d alarms, %s", (int)alarms, punctual(alarm_due));
}

static void ticking(const char *argument) {
    handle(SIGALRM, on_alarm, SA_RESTART);
    tick_every(atol(argument), atol(argument));
    reply("ticking");
}

static void still_ticking(const char *argument) {
    int more = (int)alarms + atoi(argument);
    while (alarms < more) usleep(1000);
    struct itimerval timer;
    OK(getitimer(ITIMER_REAL, &timer));
    reply("interval %ld us, %s", (long)timer.it_interval.tv_usec,
          timer.it_value.tv_sec || timer.it_value.tv_usec ? "running" : "stopped");
}

// The alarm comes as a record to read, behind a mask.
static void alarm_to_read(const char *argument) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    signals = OK(signalfd(-1, &set, SFD_CLOEXEC));
    alarm_due = now_ms() + atol(argument);
    tick_every(atol(argument), 0);
    reply("descriptor ready");
}

static void read_alarm(const char *argument) {
    (void)argument;
    struct signalfd_siginfo info;
    CHECK(read(signals, &info, sizeof info) == sizeof info);
    const char *when = punctual(alarm_due);
    struct pollfd entry = {.fd = signals, .events = POLLIN};
    reply("signal %u, %s, then %d", info.ssi_signo, when, OK(poll(&entry, 1, 20)));
}

static const struct command commands[] = {
    {"set", set_timers},     {"left", left},           {"once", wait_once},       {"dated", wait_dated},
    {"periods", count_periods}, {"itimer", set_alarm}, {"alarm", alarm_seconds},  {"alarms", wait_alarm},
    {"tick", ticking},       {"ticks", still_ticking}, {"signalfd", alarm_to_read}, {"read", read_alarm},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}

// POSIX timers that run across a failover: with their ids and values nothing comes early, and every expiry is counted.
#include "server.h"

#include <sys/signalfd.h>

#define SIGNAL (SIGRTMIN + 4)

static timer_t timers[3];
static int made, read_from = -1;
static int64_t start, due, period_ms;
static volatile int64_t heard[3];
static volatile sig_atomic_t strange;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    int which = info->si_value.sival_int;
    if (info->si_code != SI_TIMER || which < 0 || which >= made || info->si_timerid != (int)(intptr_t)timers[which])
        strange++;
    else
        heard[which] += 1 + info->si_overrun;
}

static void handled(void) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGNAL, &action, NULL));
}

static timer_t timer_of(clockid_t clock, int notify) {
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = SIGNAL, .sigev_value.sival_int = made};
    if (notify == SIGEV_THREAD_ID) event._sigev_un._tid = gettid();
    OK(timer_create(clock, &event, &timers[made]));
    return timers[made++];
}

static void set(timer_t timer, int flags, int64_t first_ms, int64_t interval_ms) {
    struct itimerspec spec = {
        .it_value = {first_ms / 1000, first_ms % 1000 * 1000000},
        .it_interval = {interval_ms / 1000, interval_ms % 1000 * 1000000},
    };
    OK(timer_settime(timer, flags, &spec, NULL));
}

// Ids that are no longer there, so that those of the others are not the first.
static void skip_ids(const char *argument) {
    for (int i = 0; i < atoi(argument); i++) {
        timer_t timer;
        OK(timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_NONE}, &timer));
        OK(timer_delete(timer));
    }
    reply("skipped");
}

// The first to a date on CLOCK_MONOTONIC, the second after a time by CLOCK_REALTIME, to the thread; nobody hears of the third.
static void begin(const char *argument) {
    int64_t first = atol(argument);
    handled();
    start = now_ms();
    due = start + first;
    set(timer_of(CLOCK_MONOTONIC, SIGEV_SIGNAL), TIMER_ABSTIME, due, 0);
    set(timer_of(CLOCK_REALTIME, SIGEV_THREAD_ID), 0, first + 1, 0);
    set(timer_of(CLOCK_BOOTTIME, SIGEV_NONE), 0, 1000000, 0);
    reply("begun");
}

static void await(int which) {
    sigset_t blocked, old;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGNAL);
    OK(sigprocmask(SIG_BLOCK, &blocked, &old));
    sigdelset(&old, SIGNAL);
    while (!heard[which]) sigsuspend(&old);
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
}

static void both(const char *argument) {
    (void)argument;
    await(0);
    const char *when = punctual(due);
    await(1);
    reply("%d and %d, %s, %d strange", (int)heard[0], (int)heard[1], when, (int)strange);
}

static void left(const char *argument) {
    (void)argument;
    struct itimerspec spec;
    OK(timer_gettime(timers[2], &spec));
    int64_t missing = 1000000 - (now_ms() - start) - (spec.it_value.tv_sec * 1000 + spec.it_value.tv_nsec / 1000000);
    // Of the time that the server's clock passes in between.
    reply("%s", missing >= -LATE_MS && missing <= 1 ? "left as expected" : "not what is left");
}

static void periodic(const char *argument) {
    char clock[20];
    CHECK(sscanf(argument, "%19s %ld", clock, &period_ms) == 2);
    handled();
    made = 0;
    heard[0] = 0;
    start = now_ms();
    set(timer_of(strcmp(clock, "calendar") ? CLOCK_MONOTONIC : CLOCK_REALTIME, SIGEV_SIGNAL), 0, period_ms, period_ms);
    reply("periodic");
}

static void periods(const char *argument) {
    (void)argument;
    // The next expiry brings what was missed.
    int64_t until = now_ms() + 2 * period_ms;
    while (now_ms() < until) usleep((useconds_t)period_ms * 500);
    int64_t missing = (now_ms() - start) / period_ms - heard[0];
    if (missing >= -2 && missing <= 2)
        reply("all periods counted, %d strange", (int)strange);
    else
        reply("%ld expiries too few, %d strange", (long)missing, (int)strange);
}

// What the last signal stood for is told again.
static void overrun(const char *argument) {
    (void)argument;
    sigset_t set_of;
    sigemptyset(&set_of);
    sigaddset(&set_of, SIGNAL);
    OK(sigprocmask(SIG_BLOCK, &set_of, NULL));
    set(timer_of(CLOCK_MONOTONIC, SIGEV_SIGNAL), TIMER_ABSTIME, now_ms() - 995, 100);
    siginfo_t info;
    CHECK(sigwaitinfo(&set_of, &info) == SIGNAL);
    reply("overrun %s", info.si_overrun >= 9 ? "counted" : "not counted");
    start = info.si_overrun;
}

static void overrun_again(const char *argument) {
    (void)argument;
    reply("%s", timer_getoverrun(timers[made - 1]) == start ? "the same" : "another");
}

// The signal waits behind a mask and is read.
static void to_read(const char *argument) {
    sigset_t set_of;
    sigemptyset(&set_of);
    sigaddset(&set_of, SIGNAL);
    OK(sigprocmask(SIG_BLOCK, &set_of, NULL));
    read_from = OK(signalfd(-1, &set_of, SFD_CLOEXEC));
    due = now_ms() + atol(argument);
    set(timer_of(CLOCK_MONOTONIC, SIGEV_SIGNAL), 0, atol(argument) + 1, 0);
    sigset_t waiting;
    do {
        usleep(1000);
        OK(sigpending(&waiting));
    } while (!sigismember(&waiting, SIGNAL));
    reply("it waits");
}

static void read_one(const char *argument) {
    (void)argument;
    struct signalfd_siginfo info;
    CHECK(read(read_from, &info, sizeof info) == sizeof info);
    struct pollfd entry = {.fd = read_from, .events = POLLIN};
    int own = (int)info.ssi_tid == (int)(intptr_t)timers[0];
    reply("code %d, %s, then %d", info.ssi_code, own ? "its own id" : "another id", OK(poll(&entry, 1, 20)));
}

static void delete_all(const char *argument) {
    (void)argument;
    struct itimerspec spec;
    int gone = 0;
    for (int i = 0; i < made; i++) {
        OK(timer_delete(timers[i]));
        gone += timer_gettime(timers[i], &spec) == -1 && errno == EINVAL;
    }
    reply("%d deleted", gone);
}

static void again(const char *argument) {
    made = 0;
    heard[0] = heard[1] = 0;
    due = now_ms() + atol(argument);
    set(timer_of(CLOCK_MONOTONIC, SIGEV_THREAD_ID), TIMER_ABSTIME, due, 0);
    set(timer_of(CLOCK_BOOTTIME, SIGEV_SIGNAL), 0, atol(argument), 0);
    reply("again");
}

static const struct command commands[] = {
    {"skip", skip_ids}, {"begin", begin},     {"both", both},       {"left", left},    {"periodic", periodic},
    {"periods", periods}, {"overrun", overrun}, {"same", overrun_again}, {"wait", to_read}, {"read", read_one},
    {"delete", delete_all}, {"again", again}, {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}

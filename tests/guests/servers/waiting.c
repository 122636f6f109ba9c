// Every call in which a server may wait when its machine is lost: it goes on waiting, for the same thing and no shorter.
#include "server.h"

#include <sys/epoll.h>
#include <sys/select.h>

static volatile sig_atomic_t alarms, told_at;
static void on_alarm(int signal) {
    (void)signal;
    // The client waits for so many.
    if (++alarms == told_at) CHECK(send(client, "alarms\n", 7, MSG_NOSIGNAL) == 7);
}

// Waits for the next request in the named way; it is then read and answered as usual.
static void wait_by(const char *way) {
    reply("waiting by %s", way);
    struct pollfd entry = {.fd = client, .events = POLLIN};
    struct timespec minute = {60, 0};
    sigset_t none;
    sigemptyset(&none);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(client, &set);
    int ready = -1;
    if (strcmp(way, "poll") == 0) ready = poll(&entry, 1, -1);
    if (strcmp(way, "poll60") == 0) ready = poll(&entry, 1, 60000);
    if (strcmp(way, "ppoll") == 0) ready = ppoll(&entry, 1, &minute, &none);
    if (strcmp(way, "select") == 0) ready = select(client + 1, &set, NULL, NULL, &(struct timeval){60, 0});
    if (strcmp(way, "pselect") == 0) ready = pselect(client + 1, &set, NULL, NULL, &minute, &none);
    if (strncmp(way, "epoll", 5) == 0) {
        int epoll = OK(epoll_create1(0));
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = 77};
        OK(epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event));
        memset(&event, 0, sizeof event);
        if (strcmp(way, "epoll") == 0) ready = epoll_wait(epoll, &event, 1, -1);
        if (strcmp(way, "epoll60") == 0) ready = epoll_wait(epoll, &event, 1, 60000);
        if (strcmp(way, "epoll_pwait") == 0) ready = epoll_pwait(epoll, &event, 1, -1, &none);
        CHECK(event.data.u64 == 77);
        OK(close(epoll));
    }
    if (strcmp(way, "recv") == 0) ready = recv(client, (char[1]){0}, 1, MSG_PEEK) == 1;
    if (strcmp(way, "nonblocking") == 0) {
        OK(fcntl(client, F_SETFL, OK(fcntl(client, F_GETFL)) | O_NONBLOCK));
        while (recv(client, (char[1]){0}, 1, MSG_PEEK) < 0) {
            CHECK(errno == EAGAIN);
            usleep(2000);
        }
        ready = 1;
        CHECK(OK(fcntl(client, F_GETFL)) & O_NONBLOCK);
        OK(fcntl(client, F_SETFL, OK(fcntl(client, F_GETFL)) & ~O_NONBLOCK));
    }
    CHECK(ready == 1);
}

// A receive timeout, which must not be shorter.
static void patient(const char *argument) {
    struct timeval timeout = {atol(argument) / 1000, atol(argument) % 1000 * 1000};
    OK(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
    reply("patient");
    int64_t due = now_ms() + atol(argument);
    const char *what = outcome(recv(client, (char[1]){0}, 1, MSG_PEEK));
    char text[32];
    snprintf(text, sizeof text, "%s", what);
    const char *when = punctual(due - 1);
    timeout = (struct timeval){0};
    OK(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
    reply("%s, %s", text, when);
}

static void sleep_for(const char *argument) {
    long ms = atol(argument);
    reply("sleeping");
    int64_t due = now_ms() + ms;
    struct timespec span = {ms / 1000, ms % 1000 * 1000000}, rest = {77, 0};
    OK(nanosleep(&span, &rest));
    CHECK(rest.tv_sec == 77);
    reply("slept, %s", punctual(due));
}

static void sleep_until(const char *argument) {
    long ms = atol(argument);
    reply("sleeping");
    struct timespec date;
    OK(clock_gettime(CLOCK_MONOTONIC, &date));
    // From the same look at the clock: the failover may come right behind it.
    int64_t due = date.tv_sec * 1000 + date.tv_nsec / 1000000 + ms;
    date.tv_nsec += ms % 1000 * 1000000;
    date.tv_sec += ms / 1000 + date.tv_nsec / 1000000000;
    date.tv_nsec %= 1000000000;
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &date, NULL) == 0);
    reply("slept, %s", punctual(due));
}

// The same without a place for what is left of the time.
static void nap(const char *argument) {
    long ms = atol(argument);
    reply("sleeping");
    int64_t due = now_ms() + ms;
    struct timespec span = {ms / 1000, ms % 1000 * 1000000};
    OK(nanosleep(&span, NULL));
    reply("slept, %s", punctual(due));
}

// Nothing but computing, so many million steps.
static void compute(const char *argument) {
    reply("computing");
    uint64_t state = 1;
    for (long left = atol(argument) * 1000000; left > 0; left--) state = state * 6364136223846793005 + 1442695040888963407;
    reply("%llx", (unsigned long long)state);
}

// The time of a poll that nothing ends.
static void poll_for(const char *argument) {
    reply("polling");
    int64_t due = now_ms() + atol(argument);
    int ready = OK(poll(NULL, 0, atoi(argument)));
    reply("%d, %s", ready, punctual(due));
}

static void pause_for(const char *argument) {
    handle(SIGALRM, on_alarm, 0);
    reply("pausing");
    int64_t due = now_ms() + atol(argument);
    tick_every(atol(argument), 0);
    int result = pause();
    reply("%s, %d alarms, %s", outcome(result), (int)alarms, punctual(due));
    alarms = 0;
}

static void suspend_for(const char *argument) {
    handle(SIGALRM, on_alarm, 0);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &set, &old));
    reply("suspending");
    int64_t due = now_ms() + atol(argument);
    tick_every(atol(argument), 0);
    int result = sigsuspend(&old);
    char text[32];
    snprintf(text, sizeof text, "%s", outcome(result));
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    OK(sigprocmask(SIG_SETMASK, &old, NULL));
    reply("%s, %d alarms, blocked again %d, %s", text, (int)alarms, sigismember(&set, SIGALRM), punctual(due));
    alarms = 0;
}

static void wait_for_signal(const char *argument) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    reply("waiting for a signal");
    int64_t due = now_ms() + atol(argument);
    tick_every(atol(argument), 0);
    siginfo_t info;
    int signal = OK(sigwaitinfo(&set, &info));
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
    reply("signal %d code %d, %s", signal, info.si_code, punctual(due));
}

// Handlers run again and again while a call waits that the kernel restarts.
static void interrupted(const char *argument) {
    handle(SIGALRM, on_alarm, SA_RESTART);
    reply("interrupted");
    told_at = atoi(argument);
    tick_every(5, 5);
    CHECK(recv(client, (char[1]){0}, 1, MSG_PEEK) == 1);
    tick_every(0, 0);
}

// The same where the kernel does not restart, and the server tries again.
static void interrupted_poll(const char *argument) {
    handle(SIGALRM, on_alarm, SA_RESTART);
    reply("interrupted");
    told_at = atoi(argument);
    tick_every(5, 5);
    struct pollfd entry = {.fd = client, .events = POLLIN};
    int tries = 0;
    while (poll(&entry, 1, 60000) < 0) {
        CHECK(errno == EINTR);
        tries++;
    }
    tick_every(0, 0);
    CHECK(tries > 0 && tries <= alarms);
}

static const struct command commands[] = {
    {"wait", wait_by},     {"patient", patient}, {"sleep", sleep_for},    {"until", sleep_until},
    {"poll", poll_for},    {"pause", pause_for}, {"suspend", suspend_for}, {"sigwait", wait_for_signal},
    {"interrupted", interrupted}, {"interrupted_poll", interrupted_poll}, {"nap", nap}, {"compute", compute},
    {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}

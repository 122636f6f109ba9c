// Who the server is, what time it is, where it stands: nothing of it changes with the machine.
#include "server.h"

#include <sys/wait.h>

#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <x86intrin.h>

static pid_t pid, parent, thread, group, session;
static volatile sig_atomic_t signals, from_itself;
static int64_t clocks[6];
static const clockid_t which[6] = {CLOCK_MONOTONIC,         CLOCK_MONOTONIC_RAW,     CLOCK_MONOTONIC_COARSE,
                                   CLOCK_BOOTTIME, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
static uint64_t tsc, tscp;

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    signals++;
    from_itself += info->si_pid == pid;
}

static void remember(const char *argument) {
    (void)argument;
    pid = getpid();
    parent = getppid();
    thread = (pid_t)syscall(SYS_gettid);
    group = getpgrp();
    session = getsid(0);
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    for (int i = 0; i < 6; i++) clocks[i] = nanoseconds(which[i]);
    unsigned aux;
    tsc = __rdtsc();
    tscp = __rdtscp(&aux);
    make_directory("inner");
    OK(chdir("inner"));
    umask(027);
    OK(prctl(PR_SET_NAME, "renamed"));
    struct rlimit limit = {200, 300};
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    reply("remembered");
}

static void compare(const char *argument) {
    (void)argument;
    reply("pid %d, parent %d, thread %d, group %d %d %d, session %d %d", pid == getpid(), parent == getppid(),
          thread == syscall(SYS_gettid), group == getpgrp(), group == getpgid(0), group == getpgid(pid), session == getsid(0),
          session == getsid(pid));
}

static void kill_itself(const char *argument) {
    (void)argument;
    signals = from_itself = 0;
    OK(kill(pid, SIGUSR1));
    OK(syscall(SYS_tgkill, pid, thread, SIGUSR1));
    OK(raise(SIGUSR1));
    reply("%d signals, %d from itself, probing %s", (int)signals, (int)from_itself, outcome(kill(pid, 0)));
}

static void ask_about_itself(const char *argument) {
    (void)argument;
    struct rlimit limit;
    OK(prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
    unsigned long mask[16];
    int known = syscall(SYS_sched_getaffinity, pid, sizeof mask, mask) > 0;
    errno = 0;
    int priority = getpriority(PRIO_PROCESS, (id_t)pid);
    reply("limit %ld %ld, affinity %d, priority %d", (long)limit.rlim_cur, (long)limit.rlim_max, known,
          errno == 0 && priority == getpriority(PRIO_PROCESS, 0));
}

static void time_goes_on(const char *argument) {
    (void)argument;
    char text[256] = "";
    for (int i = 0; i < 6; i++) {
        int64_t now = nanoseconds(which[i]);
        if (now < clocks[i]) {
            int at = (int)strlen(text);
            snprintf(text + at, sizeof text - (size_t)at, " clock %d back by %ld ns", (int)which[i], (long)(clocks[i] - now));
        }
        clocks[i] = now;
    }
    unsigned aux;
    uint64_t now = __rdtsc(), nowp = __rdtscp(&aux);
    if (now < tsc || nowp < tscp || nowp < now) strcat(text, " rdtsc back");
    tsc = now;
    tscp = nowp;
    reply("time goes on%s", text);
}

static void place(const char *argument) {
    (void)argument;
    char path[512], name[16];
    CHECK(getcwd(path, sizeof path));
    OK(prctl(PR_GET_NAME, name));
    int fd = OK(open("made", O_CREAT | O_WRONLY | O_TRUNC, 0666));
    struct stat made;
    OK(fstat(fd, &made));
    OK(close(fd));
    mode_t mask = umask(0);
    umask(mask);
    reply("in %s, mask %03o, made %03o, named %s", strrchr(path, '/'), mask, made.st_mode & 0777, name);
}

static void drop_rights(const char *argument) {
    uid_t user = (uid_t)atoi(argument);
    OK(setgroups(0, NULL));
    OK(setgid(user));
    OK(setuid(user));
    reply("dropped");
}

static void rights(const char *argument) {
    (void)argument;
    uid_t uids[3];
    gid_t gids[3], groups[8];
    OK(getresuid(&uids[0], &uids[1], &uids[2]));
    OK(getresgid(&gids[0], &gids[1], &gids[2]));
    int back = setuid(0);
    reply("users %u %u %u, groups %u %u %u and %d more, back %s", uids[0], uids[1], uids[2], gids[0], gids[1], gids[2],
          OK(getgroups(8, groups)), outcome(back));
}

static void own_session(const char *argument) {
    (void)argument;
    session = OK(setsid());
    group = getpgrp();
    reply("leads %d %d", session == pid, group == pid);
}

static void print(const char *argument) {
    printf("out %s\n", argument);
    fflush(stdout);
    fprintf(stderr, "err %s\n", argument);
    reply("printed");
}

static void leave(const char *argument) {
    reply("leaving");
    exit(atoi(argument));
}

static void die(const char *argument) {
    (void)argument;
    reply("dying");
    abort();
}

static void fork_once(const char *argument) {
    (void)argument;
    pid_t child = OK(fork());
    if (child == 0) _exit(5);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    reply("a process exits with %d", WEXITSTATUS(status));
}

static const struct command commands[] = {
    {"remember", remember}, {"compare", compare}, {"kill", kill_itself}, {"about", ask_about_itself},
    {"time", time_goes_on}, {"place", place},     {"drop", drop_rights}, {"rights", rights},
    {"session", own_session}, {"print", print},   {"exit", leave},       {"abort", die},
    {"fork", fork_once},    {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}

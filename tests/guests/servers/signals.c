// Signal state: what is pending, masks, dispositions, the alternate stack, a handler that the failover finds running.
#include "server.h"

#include <sys/ioctl.h>
#include <sys/signalfd.h>

static volatile sig_atomic_t order[32], values[32], count;
static char stack[65536] __attribute__((aligned(16)));
static const struct command commands[];

static void note(int signal, siginfo_t *info, void *context) {
    (void)context;
    order[count] = signal;
    values[count++] = info->si_code == SI_QUEUE ? info->si_value.sival_int : info->si_pid == getpid() ? -1 : -2;
}

static void take(int signal, int flags, sigset_t *mask) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};
    // One handler after the other.
    if (mask) action.sa_mask = *mask;
    else sigfillset(&action.sa_mask);
    OK(sigaction(signal, &action, NULL));
}

static void show(const char *what) {
    char text[512];
    int at = snprintf(text, sizeof text, "%s:", what);
    for (int i = 0; i < count; i++) at += snprintf(text + at, sizeof text - (size_t)at, " %d(%d)", (int)order[i], (int)values[i]);
    count = 0;
    reply("%s", text);
}

static void block(const char *argument) {
    (void)argument;
    sigset_t set;
    sigfillset(&set);
    OK(sigprocmask(SIG_SETMASK, &set, NULL));
    take(SIGUSR1, 0, NULL);
    take(SIGUSR2, SA_RESETHAND, NULL);
    take(SIGRTMIN, 0, NULL);
    OK(kill(getpid(), SIGUSR2));
    OK(raise(SIGUSR1));
    for (int i = 1; i <= 3; i++) OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}));
    show("blocked");
}

static void unblock(const char *argument) {
    (void)argument;
    sigset_t set, pending;
    OK(sigpending(&pending));
    int waiting = sigismember(&pending, SIGUSR1) + sigismember(&pending, SIGUSR2) + sigismember(&pending, SIGRTMIN);
    sigemptyset(&set);
    OK(sigprocmask(SIG_SETMASK, &set, NULL));
    struct sigaction after;
    OK(sigaction(SIGUSR2, NULL, &after));
    reply("%d waited, the second is %s again", waiting, after.sa_handler == SIG_DFL ? "the default" : "handled");
    show("unblocked");
}

static void dispose(const char *argument) {
    (void)argument;
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGHUP);
    take(SIGUSR1, SA_ONSTACK | SA_NODEFER, &mask);
    signal(SIGPIPE, SIG_IGN);
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    OK(sigaltstack(&alternate, NULL));
    sigemptyset(&mask);
    sigaddset(&mask, SIGWINCH);
    sigaddset(&mask, SIGTERM);
    OK(sigprocmask(SIG_SETMASK, &mask, NULL));
    reply("disposed");
}

static void inspect(const char *argument) {
    (void)argument;
    struct sigaction action, pipe;
    stack_t alternate;
    sigset_t mask;
    OK(sigaction(SIGUSR1, NULL, &action));
    OK(sigaction(SIGPIPE, NULL, &pipe));
    OK(sigaltstack(NULL, &alternate));
    OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    reply("handler %d, flags %#x, masks %d; pipe %d; stack %d of %zu; blocked %d %d %d",
          action.sa_sigaction == note, action.sa_flags, sigismember(&action.sa_mask, SIGHUP), pipe.sa_handler == SIG_IGN,
          alternate.ss_sp == stack, alternate.ss_size, sigismember(&mask, SIGWINCH), sigismember(&mask, SIGTERM),
          sigismember(&mask, SIGHUP));
    OK(raise(SIGUSR1));
    show("raised");
}

// The rest of the service happens inside a handler, on the alternate stack, until the client says otherwise.
static volatile sig_atomic_t leave;
static int on_alternate;

static void serve_inside(int signal) {
    (void)signal;
    char line[256];
    stack_t now;
    OK(sigaltstack(NULL, &now));
    on_alternate = now.ss_flags & SS_ONSTACK ? 1 : 0;
    reply("inside");
    while (!leave && read_more())
        while (take_line(line, sizeof line)) run_line(commands, line);
}

static void enter(const char *argument) {
    (void)argument;
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    OK(sigaltstack(&alternate, NULL));
    struct sigaction action = {.sa_handler = serve_inside, .sa_flags = SA_ONSTACK};
    sigaddset(&action.sa_mask, SIGUSR2);
    OK(sigaction(SIGHUP, &action, NULL));
    volatile double kept = 0.1;
    volatile long integer = 4711;
    OK(raise(SIGHUP));
    sigset_t mask;
    OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    reply("outside again, %.3f %ld, blocked %d %d", kept * 3, integer, sigismember(&mask, SIGHUP),
          sigismember(&mask, SIGUSR2));
}

static void inside(const char *argument) {
    (void)argument;
    sigset_t mask;
    stack_t now;
    OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    OK(sigaltstack(NULL, &now));
    reply("blocked %d %d, on the stack %d %d", sigismember(&mask, SIGHUP), sigismember(&mask, SIGUSR2), on_alternate,
          now.ss_flags & SS_ONSTACK ? 1 : 0);
}

static void go(const char *argument) {
    (void)argument;
    leave = 1;
    reply("leaving");
}

// SIGIO tells that there is input.
static volatile sig_atomic_t inputs;
static void on_input(int signal) {
    (void)signal;
    inputs++;
}

static void driven(const char *argument) {
    (void)argument;
    sigset_t mask;
    sigemptyset(&mask);
    OK(sigprocmask(SIG_SETMASK, &mask, NULL));
    handle(SIGIO, on_input, SA_RESTART);
    OK(fcntl(client, F_SETOWN, getpid()));
    OK(fcntl(client, F_SETFL, OK(fcntl(client, F_GETFL)) | O_ASYNC));
    inputs = 0;
    polls = 1;
    reply("driven by signals");
}

static void driven_by(const char *argument) {
    (void)argument;
    // Under ftrun a signal that comes while the server computes is delivered at its next call.
    getppid();
    int signalled = inputs > 0;
    inputs = 0;
    reply("%s, owner %d, flag %d", signalled ? "signalled" : "not signalled", OK(fcntl(client, F_GETOWN)) == getpid(),
          OK(fcntl(client, F_GETFL)) & O_ASYNC ? 1 : 0);
}

static const struct command commands[] = {
    {"block", block}, {"unblock", unblock}, {"dispose", dispose}, {"inspect", inspect}, {"enter", enter},
    {"inside", inside}, {"leave", go},      {"driven", driven},   {"by", driven_by},    {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}

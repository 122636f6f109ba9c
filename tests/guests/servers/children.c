// Processes of the server's own: one that answers through pipes, those of popen(3). Their machine takes them with it.
#include "server.h"

#include <sys/wait.h>

static pid_t child;
static int to_child = -1, from_child = -1;
static volatile sig_atomic_t notices, last_code;

static void notice(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)context;
    last_code = info->si_code;
    notices++;
}

static void start(const char *argument) {
    (void)argument;
    int to[2], from[2];
    struct sigaction action = {.sa_sigaction = notice, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGCHLD, &action, NULL));
    signal(SIGPIPE, SIG_IGN);
    OK(pipe(to));
    OK(pipe(from));
    child = OK(fork());
    if (child == 0) {
        char byte;
        close(to[1]);
        close(from[0]);
        while (read(to[0], &byte, 1) == 1)
            if (write(from[1], &byte, 1) != 1) _exit(1);
        _exit(3);
    }
    OK(close(to[0]));
    OK(close(from[1]));
    to_child = to[1];
    from_child = from[0];
    reply("started");
}

static void talk(const char *argument) {
    char byte;
    ssize_t sent = write(to_child, argument, 1);
    if (sent < 0) {
        const char *error = strerrorname_np(errno);
        reply("%s, then %s", error, outcome(read(from_child, &byte, 1)));
        return;
    }
    CHECK(read(from_child, &byte, 1) == 1);
    reply("%c came back", byte);
}

static void end(const char *argument) {
    (void)argument;
    int status;
    OK(close(to_child));
    OK(close(from_child));
    pid_t found;
    while ((found = waitpid(child, &status, 0)) < 0) CHECK(errno == EINTR);
    CHECK(found == child);
    if (WIFEXITED(status)) reply("exited with %d", WEXITSTATUS(status));
    else reply("killed by %d", WTERMSIG(status));
}

static void again(const char *argument) {
    (void)argument;
    reply("%s, %d notice", outcome(waitpid(child, NULL, 0)), (int)notices);
}

static void code(const char *argument) {
    (void)argument;
    reply("code %d", (int)last_code);
}

static void run(const char *argument) {
    char text[128] = "";
    FILE *stream = popen(argument, "r");
    CHECK(stream != NULL && fgets(text, sizeof text, stream) != NULL);
    text[strcspn(text, "\n")] = 0;
    int status = pclose(stream);
    reply("%s, %#x", text, status);
}

static const struct command commands[] = {
    {"start", start}, {"talk", talk}, {"end", end}, {"again", again}, {"code", code}, {"run", run}, {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}

// Becomes itself, again and again, while it serves: the listener and the client's connection are handed on by number.
#include "server.h"

#include <sys/epoll.h>
#include <sys/prctl.h>

static char *program;
static int listener, generation, set;
static const char *handed;

static void on_signal(int signal) { (void)signal; }

static void become(const char *argument) {
    char numbers[5][16];
    snprintf(numbers[0], 16, "%d", listener);
    snprintf(numbers[1], 16, "%d", client);
    snprintf(numbers[2], 16, "%d", generation + 1);
    snprintf(numbers[3], 16, "%d", set);
    CHECK(waiting_length == 0);
    char *arguments[] = {program, "again", numbers[0], numbers[1], numbers[2], numbers[3], (char *)argument, NULL};
    execv(program, arguments);
    reply("%s", strerrorname_np(errno));
}

static void about(const char *argument) {
    (void)argument;
    struct sigaction action;
    OK(sigaction(SIGUSR2, NULL, &action));
    char name[17] = {0}, directory[256], text[8] = {0};
    OK(prctl(PR_GET_NAME, name));
    CHECK(getcwd(directory, sizeof directory) != NULL);
    mode_t mode = umask(0);
    umask(mode);
    // Whether the connection is in the epoll set, which was handed on.
    struct epoll_event event;
    int there = epoll_ctl(set, EPOLL_CTL_MOD, client, &(struct epoll_event){.events = EPOLLOUT, .data.u32 = 7});
    int ready = OK(epoll_wait(set, &event, 1, 0));
    reply("generation %d, handed %s, %s in %s, mask %03o, USR2 %s, set %s %d %u, pid %d, descriptors %s", generation, handed,
          name, strrchr(directory, '/'), mode, action.sa_handler == SIG_DFL ? "default" : "handled", outcome(there), ready,
          ready ? event.data.u32 : 0, getpid() == getpgrp() || getpid() > 1,
          fcntl(50, F_GETFD) < 0 ? "closed" : OK(pread(50, text, 5, 0)) == 5 ? text : "short");
}

// What is lost at the next exec, or kept.
static void change(const char *argument) {
    handle(SIGUSR2, on_signal, 0);
    umask(031);
    make_directory("inner");
    OK(chdir("inner"));
    int fd = file_with("file", "hello");
    CHECK(dup3(fd, 50, strcmp(argument, "close") == 0 ? O_CLOEXEC : 0) == 50);
    OK(close(fd));
    OK(epoll_ctl(set, EPOLL_CTL_ADD, client, &(struct epoll_event){.events = EPOLLOUT, .data.u32 = 7}));
    reply("changed");
}

static void fail(const char *argument) {
    execl("/no/such/program", "program", argument, NULL);
    reply("%s", strerrorname_np(errno));
}

static const struct command commands[] = {
    {"again", become}, {"about", about}, {"change", change}, {"fail", fail}, {NULL, NULL},
};

int main(int argc, char **argv) {
    static char path[256];
    if (argc == 2) {
        path[OK(readlink("/proc/self/exe", path, sizeof path - 1))] = 0;
        program = path;
        handed = "nothing";
        set = OK(epoll_create1(0));
        listener = listening_at(atoi(argv[1]));
        client = OK(accept(listener, NULL, NULL));
    } else {
        CHECK(argc == 7);
        program = argv[0];
        listener = atoi(argv[2]);
        client = atoi(argv[3]);
        generation = atoi(argv[4]);
        set = atoi(argv[5]);
        handed = argv[6];
        reply("generation %d", generation);
    }
    char line[1024];
    while (read_more())
        while (take_line(line, sizeof line)) run_line(commands, line);
    return 0;
}

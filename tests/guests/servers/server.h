// What the servers share that are to survive the loss of their machine. Each is about one topic: a client connects to the port
// given as first argument, sends one line for each request and gets one line, or more, for an answer. Answers hold nothing that
// differs from run to run, so that a run through a failover must give those of a run without one.
#ifndef SERVER_H
#define SERVER_H

#include "../guest.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>

struct command {
    const char *name;
    void (*run)(const char *argument);
};

// The client's connection, and what of it is read and not yet looked at.
static int client;
static char waiting_input[4096];
static size_t waiting_length;

static inline int listening_at(int port) {
    int fd = OK(socket(AF_INET, SOCK_STREAM, 0));
    int on = 1;
    OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)port)};
    OK(bind(fd, (struct sockaddr *)&address, sizeof address));
    OK(listen(fd, 256));
    return fd;
}

// A replica that died may have done it just before, and left no record: files have no output rule.
static inline void make_directory(const char *name) {
    if (mkdir(name, 0755) != 0) CHECK(errno == EEXIST);
}

static inline void send_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        CHECK(sent > 0);
        bytes += sent;
        length -= (size_t)sent;
    }
}

static inline void reply(const char *format, ...) {
    char line[1024];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line - 1, format, list);
    va_end(list);
    CHECK(length >= 0 && length < (int)sizeof line - 1);
    line[length] = '\n';
    send_all(client, line, (size_t)length + 1);
}

// The value of a call, as the client is to see it: the result, or the name of the error.
static inline const char *outcome(long value) {
    static char text[32];
    if (value >= 0)
        snprintf(text, sizeof text, "%ld", value);
    else
        snprintf(text, sizeof text, "%s", strerrorname_np(errno));
    return text;
}

static inline int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    OK(clock_gettime(clock, &now));
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline int64_t now_ms(void) { return nanoseconds(CLOCK_MONOTONIC) / 1000000; }

// How something stands to the time at which it was due. Never early; late by at most what a failover may take on a busy
// machine: the detection (a closed channel: two heartbeats; else the timeout of a second), the takeover, the scheduler.
#define LATE_MS 4000
static inline const char *punctual(int64_t due_ms) {
    static char text[64];
    int64_t late = now_ms() - due_ms;
    if (late < 0)
        snprintf(text, sizeof text, "early by %ld ms", (long)-late);
    else if (late > LATE_MS)
        snprintf(text, sizeof text, "late by %ld ms", (long)late);
    else
        return "in time";
    return text;
}

// Takes the first line out of what is waiting; false when there is none yet.
static inline int take_line(char *line, size_t size) {
    char *end = memchr(waiting_input, '\n', waiting_length);
    if (!end) return 0;
    size_t length = (size_t)(end - waiting_input);
    CHECK(length < size);
    memcpy(line, waiting_input, length);
    line[length] = 0;
    waiting_length -= length + 1;
    memmove(waiting_input, end + 1, waiting_length);
    return 1;
}

// Whether to wait in poll(2): in a blocking receive nobody is told of input by SIGIO.
static int polls;

// Reads more from the client; false at the end.
static inline int read_more(void) {
    struct pollfd entry = {.fd = client, .events = POLLIN};
    while (polls && poll(&entry, 1, -1) < 0) CHECK(errno == EINTR);
    ssize_t got;
    do got = recv(client, waiting_input + waiting_length, sizeof waiting_input - waiting_length, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0) return 0;
    waiting_length += (size_t)got;
    return 1;
}

static inline void run_line(const struct command *commands, char *line) {
    char *argument = strchr(line, ' ');
    if (argument) *argument++ = 0;
    for (; commands->name; commands++) {
        if (strcmp(commands->name, line) == 0) {
            commands->run(argument ? argument : "");
            return;
        }
    }
    reply("no command %s", line);
}

// Serves one client in blocking calls until it ends.
static inline int serve(int port, const struct command *commands) {
    int listener = listening_at(port);
    client = OK(accept(listener, NULL, NULL));
    char line[1024];
    while (read_more())
        while (take_line(line, sizeof line)) run_line(commands, line);
    return 0;
}

#endif

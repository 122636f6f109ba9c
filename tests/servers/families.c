// A server on several addresses, of both families, that says what its sockets say of themselves.
// families PORT (ADDRESS any|only)...      'only' sets IPV6_V6ONLY, 'any' clears it
//
//   ECHO text  n text    n: how many lines came on this connection
//   NAMES      own F L ADDRESS PORT peer F L ADDRESS PORT accepted F L ADDRESS PORT listener F L ADDRESS PORT only N
//              F: address family, L: the length that the call gave; the first two as getsockname and getpeername say now,
//              accepted as accept said then, listener by getsockname of the listener, N its IPV6_V6ONLY (- when IPv4)
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENERS = 4, CLIENTS = 16, LINE = 512, SHORT = 6 };

struct name {
    struct sockaddr_storage address;
    socklen_t length;
};

struct client {
    struct name accepted;
    int listener;
    unsigned long lines;
    char line[LINE];
    size_t filled;
};

static int listeners;
static struct pollfd fds[LISTENERS + CLIENTS];
static struct client clients[LISTENERS + CLIENTS];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int open_listener(const char *text, const char *kind, unsigned short port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int is_v4 = inet_pton(AF_INET, text, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        fail(text);
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM, 0), on = 1, only = strcmp(kind, "only") == 0;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        fail("socket");
    if (!is_v4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) < 0)
        fail("IPV6_V6ONLY");
    const struct sockaddr *address = is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    if (bind(fd, address, is_v4 ? sizeof v4 : sizeof v6) < 0)
        fail("bind");
    if (listen(fd, 16) < 0)
        fail("listen");
    return fd;
}

static void append(char *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t used = strlen(out);
    vsnprintf(out + used, LINE - used, format, arguments);
    va_end(arguments);
}

static void show(char *out, const char *what, const struct name *name) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&name->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&name->address;
    int family = name->address.ss_family;
    char text[INET6_ADDRSTRLEN] = "?";
    inet_ntop(family, family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, text, sizeof text);
    append(out, "%s %d %u %s %u ", what, family, (unsigned)name->length, text, ntohs(v4->sin_port));
}

typedef int naming(int, struct sockaddr *, socklen_t *);

// Asks twice: a short buffer gets the beginning, nothing behind it, and the whole length.
static struct name ask(naming *call, int fd) {
    struct name whole = {.length = sizeof whole.address}, cut = {.length = SHORT};
    if (call(fd, (struct sockaddr *)&whole.address, &whole.length) < 0)
        fail("the name of a socket");
    memset(&cut.address, 0xaa, sizeof cut.address);
    if (call(fd, (struct sockaddr *)&cut.address, &cut.length) < 0)
        fail("the name of a socket, cut short");
    const unsigned char *bytes = (const unsigned char *)&cut.address;
    if (cut.length != whole.length || memcmp(bytes, &whole.address, SHORT) != 0 || bytes[SHORT] != 0xaa) {
        fprintf(stderr, "a buffer of %d bytes: length %u, expected %u, byte %d is %02x\n", SHORT, (unsigned)cut.length,
                (unsigned)whole.length, SHORT, bytes[SHORT]);
        exit(1);
    }
    return whole;
}

static int answer(int index, const char *line) {
    struct client *client = &clients[index];
    char reply[LINE + 32] = "";
    client->lines++;
    if (strncmp(line, "ECHO ", 5) == 0) {
        snprintf(reply, sizeof reply, "%lu %s\n", client->lines, line + 5);
    } else if (strcmp(line, "NAMES") == 0) {
        int listener = fds[client->listener].fd, only;
        socklen_t length = sizeof only;
        struct name own = ask(getsockname, fds[index].fd), peer = ask(getpeername, fds[index].fd);
        struct name asked = ask(getsockname, listener);
        show(reply, "own", &own);
        show(reply, "peer", &peer);
        show(reply, "accepted", &client->accepted);
        show(reply, "listener", &asked);
        if (asked.address.ss_family == AF_INET)
            append(reply, "only -\n");
        else if (getsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &only, &length) == 0)
            append(reply, "only %d\n", only);
        else
            fail("IPV6_V6ONLY of a listener");
    } else {
        snprintf(reply, sizeof reply, "WHAT\n");
    }
    size_t done = 0, length = strlen(reply);
    while (done < length) {
        ssize_t sent = write(fds[index].fd, reply + done, length - done);
        if (sent < 0)
            return -1;
        done += (size_t)sent;
    }
    return 0;
}

static int serve(int index) {
    struct client *client = &clients[index];
    ssize_t received = read(fds[index].fd, client->line + client->filled, LINE - client->filled);
    if (received <= 0)
        return -1;
    client->filled += (size_t)received;
    char *end;
    while ((end = memchr(client->line, '\n', client->filled)) != NULL) {
        *end = '\0';
        size_t used = (size_t)(end + 1 - client->line);
        if (answer(index, client->line) < 0)
            return -1;
        memmove(client->line, client->line + used, client->filled - used);
        client->filled -= used;
    }
    return client->filled < LINE ? 0 : -1;
}

static void take(int listener) {
    struct name peer = {.length = sizeof peer.address};
    int fd = accept(fds[listener].fd, (struct sockaddr *)&peer.address, &peer.length);
    if (fd < 0)
        return;
    for (int i = listeners; i < listeners + CLIENTS; i++) {
        if (fds[i].fd < 0) {
            clients[i] = (struct client){.accepted = peer, .listener = listener};
            fds[i] = (struct pollfd){.fd = fd, .events = POLLIN};
            return;
        }
    }
    close(fd);
}

int main(int argc, char **argv) {
    if (argc < 4 || argc % 2 != 0 || argc / 2 - 1 > LISTENERS) {
        fprintf(stderr, "usage: families PORT (ADDRESS any|only)...\n");
        return 2;
    }
    for (int i = 2; i < argc; i += 2)
        fds[listeners++] = (struct pollfd){.fd = open_listener(argv[i], argv[i + 1], (unsigned short)atoi(argv[1])), .events = POLLIN};
    for (int i = listeners; i < listeners + CLIENTS; i++)
        fds[i].fd = -1;
    for (;;) {
        if (poll(fds, (nfds_t)(listeners + CLIENTS), -1) < 0 && errno != EINTR)
            fail("poll");
        for (int i = 0; i < listeners + CLIENTS; i++) {
            if (fds[i].fd < 0 || fds[i].revents == 0)
                continue;
            if (i < listeners) {
                take(i);
            } else if (serve(i) < 0) {
                close(fds[i].fd);
                fds[i].fd = -1;
            }
        }
    }
}

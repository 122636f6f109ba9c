// A server that hands out tokens which nobody else can know: what a client was told and what the server holds can be
// compared for ever after. It says on standard error what it has done, so that a test need not guess. ledger ADDRESS PORT
//
//   TOKEN      TOKEN t n     t: 16 random bytes, held from now on; n: how many were handed out
//   GET        HOLDS t n
//   BIG n      n letters and a line feed
//   BURN n     BURNT x       after n steps of computing, without any system call
//   WHERE      AT a          the address of the token
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 16, LINE = 128 };

static unsigned char token[16];
static unsigned long issued, accepted, answered;
static struct pollfd fds[1 + CLIENTS];
static char lines[1 + CLIENTS][LINE];
static size_t filled[1 + CLIENTS];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int send_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = write(fd, bytes, length);
        if (sent < 0)
            return -1;
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static size_t show(char *out, const char *word) {
    char hex[2 * sizeof token + 1];
    for (size_t i = 0; i < sizeof token; i++)
        sprintf(hex + 2 * i, "%02x", token[i]);
    return (size_t)sprintf(out, "%s %s %lu\n", word, hex, issued);
}

static unsigned long burn(unsigned long steps) {
    unsigned long x = 88172645463325252UL;
    while (steps-- > 0) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

static int answer(int fd, const char *line) {
    char reply[LINE];
    size_t length;
    if (strcmp(line, "TOKEN") == 0) {
        if (getrandom(token, sizeof token, 0) != (ssize_t)sizeof token)
            fail("getrandom");
        issued++;
        length = show(reply, "TOKEN");
    } else if (strcmp(line, "GET") == 0) {
        length = show(reply, "HOLDS");
    } else if (strncmp(line, "BIG ", 4) == 0) {
        size_t letters = strtoul(line + 4, NULL, 10);
        char *big = malloc(letters + 1);
        if (big == NULL)
            fail("malloc");
        for (size_t i = 0; i < letters; i++)
            big[i] = (char)('a' + (i * 7 + i / 26) % 26);
        big[letters] = '\n';
        int outcome = send_all(fd, big, letters + 1);
        free(big);
        return outcome;
    } else if (strncmp(line, "BURN ", 5) == 0) {
        length = (size_t)sprintf(reply, "BURNT %lx\n", burn(strtoul(line + 5, NULL, 10)));
    } else if (strcmp(line, "WHERE") == 0) {
        length = (size_t)sprintf(reply, "AT %lx\n", (unsigned long)token);
    } else {
        length = (size_t)sprintf(reply, "ERROR\n");
    }
    return send_all(fd, reply, length);
}

static void drop(int at) {
    close(fds[at].fd);
    fds[at].fd = -1;
}

static void serve(int at) {
    ssize_t got = read(fds[at].fd, lines[at] + filled[at], LINE - filled[at]);
    if (got <= 0) {
        drop(at);
        return;
    }
    filled[at] += (size_t)got;
    char *end;
    while ((end = memchr(lines[at], '\n', filled[at])) != NULL) {
        *end = 0;
        if (answer(fds[at].fd, lines[at]) < 0) {
            drop(at);
            return;
        }
        dprintf(2, "answered %lu\n", ++answered);
        filled[at] -= (size_t)(end + 1 - lines[at]);
        memmove(lines[at], end + 1, filled[at]);
    }
    if (filled[at] == LINE)
        drop(at);
}

static void take(void) {
    int fd = accept(fds[0].fd, NULL, NULL);
    if (fd < 0)
        return;
    for (int at = 1; at <= CLIENTS; at++) {
        if (fds[at].fd < 0) {
            fds[at].fd = fd;
            filled[at] = 0;
            dprintf(2, "accepted %lu\n", ++accepted);
            return;
        }
    }
    close(fd);
}

int main(int argc, char **argv) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *address;
    if (argc != 3 || getaddrinfo(argv[1], argv[2], &hints, &address) != 0)
        return 2;
    for (int at = 0; at <= CLIENTS; at++)
        fds[at] = (struct pollfd){.fd = -1, .events = POLLIN};
    fds[0].fd = socket(address->ai_family, SOCK_STREAM, 0);
    if (bind(fds[0].fd, address->ai_addr, address->ai_addrlen) < 0)
        fail("bind");
    if (listen(fds[0].fd, CLIENTS) < 0)
        fail("listen");
    for (;;) {
        if (poll(fds, 1 + CLIENTS, -1) < 0 && errno != EINTR)
            fail("poll");
        for (int at = 1; at <= CLIENTS; at++)
            if (fds[at].fd >= 0 && fds[at].revents != 0)
                serve(at);
        if (fds[0].revents != 0)
            take();
    }
}

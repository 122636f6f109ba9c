// Sockets of every kind. The first client gives the orders; what they are about are connections of a second listener, and
// sockets that are no business of a proxy.
#include "server.h"

#include <sys/ioctl.h>
#include <sys/un.h>

#define SLOTS 256
static int second, slots[SLOTS], udp = -1, unix_listener = -1;
static struct sockaddr_in own[SLOTS], peer[SLOTS];

static struct sockaddr_in name_of(int fd, int (*call)(int, struct sockaddr *, socklen_t *)) {
    struct sockaddr_in name = {0};
    socklen_t length = sizeof name;
    OK(call(fd, (struct sockaddr *)&name, &length));
    CHECK(length == sizeof name);
    return name;
}

static void accept_into(const char *argument) {
    int slot = atoi(argument);
    struct sockaddr_in shown = {0};
    socklen_t length = sizeof shown;
    slots[slot] = OK(accept4(second, (struct sockaddr *)&shown, &length, slot % 2 ? SOCK_NONBLOCK : 0));
    own[slot] = name_of(slots[slot], getsockname);
    peer[slot] = name_of(slots[slot], getpeername);
    reply("accepted, flags %#x, shown %s, at port of the listener %s", OK(fcntl(slots[slot], F_GETFL)),
          memcmp(&shown, &peer[slot], sizeof shown) == 0 ? "its peer" : "another",
          own[slot].sin_port == name_of(second, getsockname).sin_port ? "yes" : "no");
}

static void accept_many(const char *argument) {
    int count = atoi(argument);
    for (int i = 0; i < count; i++) slots[i] = OK(accept(second, NULL, NULL));
    reply("accepted %d", count);
}

// One byte from each and back.
static void echo_many(const char *argument) {
    int count = atoi(argument);
    for (int i = 0; i < count; i++) {
        char byte;
        CHECK(recv(slots[i], &byte, 1, 0) == 1);
        byte++;
        CHECK(send(slots[i], &byte, 1, MSG_NOSIGNAL) == 1);
    }
    reply("echoed %d", count);
}

static void names(const char *argument) {
    int slot = atoi(argument);
    struct sockaddr_in now_own = name_of(slots[slot], getsockname), now_peer = name_of(slots[slot], getpeername);
    struct sockaddr_in listens = name_of(second, getsockname);
    reply("own %s, peer %s, listener at %s:%d flags %#x", memcmp(&now_own, &own[slot], sizeof now_own) ? "changed" : "same",
          memcmp(&now_peer, &peer[slot], sizeof now_peer) ? "changed" : "same", inet_ntoa(listens.sin_addr),
          ntohs(listens.sin_port) > 0, OK(fcntl(second, F_GETFL)));
}

// Exactly this many bytes, or what happens instead.
static void receive(const char *argument) {
    int slot, count;
    CHECK(sscanf(argument, "%d %d", &slot, &count) == 2 && count < 256);
    char text[256] = {0};
    int got = 0;
    while (got < count) {
        ssize_t more = recv(slots[slot], text + got, (size_t)(count - got), 0);
        if (more < 0 && errno == EAGAIN) {
            struct pollfd entry = {.fd = slots[slot], .events = POLLIN};
            CHECK(poll(&entry, 1, 20000) == 1);
            continue;
        }
        if (more <= 0) {
            reply("%d: %s, then %s", got, text, outcome(more));
            return;
        }
        got += (int)more;
    }
    reply("%d: %s", got, text);
}

static void send_to(const char *argument) {
    int slot, at;
    CHECK(sscanf(argument, "%d %n", &slot, &at) == 1);
    reply("%s", outcome(send(slots[slot], argument + at, strlen(argument + at), MSG_NOSIGNAL)));
}

static void shut(const char *argument) {
    int slot, how;
    CHECK(sscanf(argument, "%d %d", &slot, &how) == 2);
    reply("%s", outcome(shutdown(slots[slot], how)));
}

static void close_slot(const char *argument) {
    OK(close(slots[atoi(argument)]));
    reply("closed");
}

static void reset_slot(const char *argument) {
    struct linger at_once = {.l_onoff = 1};
    OK(setsockopt(slots[atoi(argument)], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    OK(close(slots[atoi(argument)]));
    reply("reset");
}

static void linger(const char *argument) {
    struct linger at_once = {.l_onoff = 1};
    OK(setsockopt(slots[atoi(argument)], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    reply("lingers no more");
}

static char pattern_at(size_t at) { return (char)('a' + at % 7 + at / 4096 % 19); }

// A large answer in one go: blocking, or in pieces where the socket takes no more.
static void large_answer(const char *argument) {
    int slot;
    size_t length;
    CHECK(sscanf(argument, "%d %zu", &slot, &length) == 2);
    char *bytes = malloc(length);
    CHECK(bytes);
    for (size_t i = 0; i < length; i++) bytes[i] = pattern_at(i);
    reply("answering");
    size_t done = 0;
    while (done < length) {
        ssize_t sent = send(slots[slot], bytes + done, length - done, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd entry = {.fd = slots[slot], .events = POLLOUT};
            CHECK(poll(&entry, 1, 20000) == 1);
            continue;
        }
        CHECK(sent > 0);
        done += (size_t)sent;
    }
    free(bytes);
    reply("answered");
}

// As much as the socket takes.
static void flood(const char *argument) {
    int slot = atoi(argument);
    static char piece[7 * 19 * 4096];
    for (size_t i = 0; i < sizeof piece; i++) piece[i] = pattern_at(i);
    size_t done = 0;
    struct pollfd entry = {.fd = slots[slot], .events = POLLOUT};
    // The other side may still be taking something: full is what stays full.
    while (poll(&entry, 1, 300) == 1) {
        size_t at = done % sizeof piece;
        ssize_t sent = send(slots[slot], piece + at, sizeof piece - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) continue;
        CHECK(sent > 0);
        done += (size_t)sent;
    }
    reply("%zu", done);
}

static void large_request(const char *argument) {
    int slot;
    size_t length;
    CHECK(sscanf(argument, "%d %zu", &slot, &length) == 2);
    reply("reading");
    static char piece[30000];
    size_t done = 0, wrong = 0;
    while (done < length) {
        size_t want = length - done < sizeof piece ? length - done : sizeof piece;
        ssize_t got = recv(slots[slot], piece, want, 0);
        if (got < 0 && errno == EAGAIN) {
            struct pollfd entry = {.fd = slots[slot], .events = POLLIN};
            CHECK(poll(&entry, 1, 20000) == 1);
            continue;
        }
        CHECK(got > 0);
        for (ssize_t i = 0; i < got; i++) wrong += piece[i] != pattern_at(done + (size_t)i);
        done += (size_t)got;
    }
    reply("read %zu, %zu wrong", done, wrong);
}

static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    OK(getsockopt(fd, level, name, &value, &length));
    return value;
}

static void set_options(const char *argument) {
    int fd = slots[atoi(argument)], on = 1, bytes = 30000, seconds = 77;
    struct timeval timeout = {12, 0};
    OK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    OK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    OK(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds));
    OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes));
    OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout));
    OK(setsockopt(second, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    reply("set");
}

static void get_options(const char *argument) {
    int fd = slots[atoi(argument)];
    struct timeval timeout;
    socklen_t length = sizeof timeout;
    OK(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, &length));
    reply("nodelay %d, keepalive %d after %d, buffer %d, timeout %ld; type %d, listens %d %d, keepalive %d, reuse %d, nodelay %d",
          option(fd, IPPROTO_TCP, TCP_NODELAY), option(fd, SOL_SOCKET, SO_KEEPALIVE), option(fd, IPPROTO_TCP, TCP_KEEPIDLE),
          option(fd, SOL_SOCKET, SO_RCVBUF), (long)timeout.tv_sec, option(fd, SOL_SOCKET, SO_TYPE),
          option(fd, SOL_SOCKET, SO_ACCEPTCONN), option(second, SOL_SOCKET, SO_ACCEPTCONN),
          option(second, SOL_SOCKET, SO_KEEPALIVE), option(second, SOL_SOCKET, SO_REUSEADDR),
          option(client, IPPROTO_TCP, TCP_NODELAY));
}

static void pending(const char *argument) {
    int count, slot = atoi(argument);
    struct pollfd entry = {.fd = slots[slot], .events = POLLIN};
    OK(poll(&entry, 1, 10000));
    OK(ioctl(slots[slot], FIONREAD, &count));
    reply("%d bytes wait", count);
}

static void open_udp(const char *argument) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)atoi(argument))};
    udp = OK(socket(AF_INET, SOCK_DGRAM, 0));
    OK(bind(udp, (struct sockaddr *)&address, sizeof address));
    reply("bound");
}

static void answer_udp(const char *argument) {
    (void)argument;
    char text[64] = {0};
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    OK(recvfrom(udp, text, sizeof text - 1, 0, (struct sockaddr *)&from, &length));
    OK(sendto(udp, text, strlen(text), 0, (struct sockaddr *)&from, length));
    reply("answered %s", text);
}

static struct sockaddr_un at_path(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

static void open_unix(const char *argument) {
    struct sockaddr_un address = at_path(argument);
    unix_listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(bind(unix_listener, (struct sockaddr *)&address, sizeof address));
    OK(listen(unix_listener, 8));
    reply("listening");
}

static void accept_unix(const char *argument) {
    slots[atoi(argument)] = OK(accept(unix_listener, NULL, NULL));
    reply("accepted");
}

static void connect_unix(const char *argument) {
    int slot, at;
    CHECK(sscanf(argument, "%d %n", &slot, &at) == 1);
    struct sockaddr_un address = at_path(argument + at);
    slots[slot] = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(connect(slots[slot], (struct sockaddr *)&address, sizeof address));
    reply("connected");
}

static void connect_out(const char *argument) {
    int slot, port;
    CHECK(sscanf(argument, "%d %d", &slot, &port) == 2);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t)port)};
    slots[slot] = OK(socket(AF_INET, SOCK_STREAM, 0));
    OK(connect(slots[slot], (struct sockaddr *)&address, sizeof address));
    reply("connected");
}

static void stop_listening(const char *argument) {
    (void)argument;
    OK(close(second));
    reply("closed");
}

static const struct command commands[] = {
    {"accept", accept_into}, {"accept_many", accept_many}, {"echo_many", echo_many}, {"names", names},
    {"recv", receive},       {"send", send_to},            {"shutdown", shut},       {"close", close_slot},
    {"reset", reset_slot},   {"linger", linger},           {"large", large_answer},  {"read", large_request},
    {"set", set_options},    {"get", get_options},         {"pending", pending},     {"udp", open_udp},
    {"answer", answer_udp},  {"unix", open_unix},          {"accept_unix", accept_unix}, {"connect_unix", connect_unix},
    {"connect", connect_out}, {"unlisten", stop_listening}, {"flood", flood}, {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 3);
    second = listening_at(atoi(argv[2]));
    return serve(atoi(argv[1]), commands);
}

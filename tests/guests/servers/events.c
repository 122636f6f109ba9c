// eventfds, pipes, socket pairs, epoll sets: objects that only the server has, with what is in them.
#include "server.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static int counter, semaphore, ends[2], other_ends[2], stream[2], datagram[2], half[2];
static int outer, inner, level, edge, once, fired, nested;

static void make(const char *argument) {
    (void)argument;
    counter = OK(eventfd(5, EFD_NONBLOCK));
    semaphore = OK(eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC));
    uint64_t more = 7;
    CHECK(write(counter, &more, 8) == 8 && read(semaphore, &more, 8) == 8);
    OK(pipe2(ends, O_NONBLOCK));
    CHECK(write(ends[1], "unread content", 14) == 14 && read(ends[0], (char[2]){0}, 2) == 2);
    // The writing end is gone: what is left is read, then comes the end.
    OK(pipe(other_ends));
    CHECK(write(other_ends[1], "rest", 4) == 4);
    OK(close(other_ends[1]));
    OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, stream));
    CHECK(write(stream[0], "there", 5) == 5 && write(stream[1], "and back", 8) == 8);
    OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, datagram));
    CHECK(send(datagram[0], "first", 5, 0) == 5 && send(datagram[0], "second one", 10, 0) == 10);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, half));
    CHECK(write(half[0], "last words", 10) == 10);
    OK(shutdown(half[0], SHUT_WR));
    reply("made");
}

static void counts(const char *argument) {
    (void)argument;
    uint64_t all = 0, one = 0;
    long first = read(counter, &all, 8);
    long again = read(counter, &all, 8);
    int taken = 0;
    while (read(semaphore, &one, 8) == 8) taken += (int)one;
    reply("%ld bytes, count %lu, then %ld; semaphore gave %d, close on exec %d", first, (unsigned long)all, again, taken,
          OK(fcntl(semaphore, F_GETFD)));
}

static void pipes(const char *argument) {
    (void)argument;
    char text[32] = {0}, rest[32] = {0};
    long length = read(ends[0], text, sizeof text);
    long end = read(ends[0], rest, sizeof rest);
    int empty = errno;
    reply("%ld: %s, then %s; flags %#x %#x", length, text, end < 0 ? strerrorname_np(empty) : "the end",
          OK(fcntl(ends[0], F_GETFL)), OK(fcntl(ends[1], F_GETFL)));
    CHECK(read(other_ends[0], rest, sizeof rest) == 4);
    reply("%s, then %zd", rest, read(other_ends[0], rest + 4, 4));
}

static void pairs(const char *argument) {
    (void)argument;
    char one[32] = {0}, two[32] = {0};
    OK(read(stream[1], one, sizeof one));
    OK(read(stream[0], two, sizeof two));
    reply("%s, %s, then %s", one, two, outcome(read(stream[0], one, 1)));
    CHECK(write(stream[0], "!", 1) == 1 && read(stream[1], one, 1) == 1);
    long first = recv(datagram[1], one, sizeof one, 0);
    long second = recv(datagram[1], two, sizeof two, 0);
    reply("datagrams of %ld and %ld, then %s", first, second, outcome(recv(datagram[1], one, 1, 0)));
    memset(one, 0, sizeof one);
    OK(read(half[1], one, sizeof one));
    reply("%s, then %zd, and sending gives %s", one, read(half[1], two, 1), outcome(send(half[0], "x", 1, MSG_NOSIGNAL)));
}

static void add(int set, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    OK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
}

// The events of a set, by their data.
static void look(const char *name, int set) {
    struct epoll_event events[8];
    int found = OK(epoll_wait(set, events, 8, 0));
    char text[256] = "";
    for (uint64_t data = 0; data < 100; data++)
        for (int i = 0; i < found; i++)
            if (events[i].data.u64 == data)
                snprintf(text + strlen(text), sizeof text - strlen(text), " %lu:%#x", (unsigned long)data,
                         events[i].events);
    // As a server does that is told of edges.
    uint64_t count;
    while (read(edge, &count, 8) == 8) continue;
    reply("%s:%s", name, text);
}

static void make_sets(const char *argument) {
    (void)argument;
    outer = OK(epoll_create1(0));
    inner = OK(epoll_create1(EPOLL_CLOEXEC));
    level = OK(eventfd(1, EFD_NONBLOCK));
    edge = OK(eventfd(0, EFD_NONBLOCK));
    once = OK(eventfd(0, EFD_NONBLOCK));
    fired = OK(eventfd(1, EFD_NONBLOCK));
    nested = OK(eventfd(0, EFD_NONBLOCK));
    add(outer, level, EPOLLIN, 11);
    add(outer, edge, EPOLLIN | EPOLLET, 12);
    add(outer, once, EPOLLIN | EPOLLONESHOT, 13);
    add(outer, fired, EPOLLIN | EPOLLONESHOT, 14);
    add(inner, nested, EPOLLIN, 21);
    add(outer, inner, EPOLLIN, 15);
    // An item that outlives its number, because another one keeps the description.
    int other = OK(dup(level));
    add(outer, other, EPOLLIN, 16);
    OK(close(other));
    look("sets", outer);
}

static void signal_sets(const char *argument) {
    uint64_t one = 1;
    for (; *argument; argument++) {
        int fd = *argument == 'e' ? edge : *argument == 'o' ? once : *argument == 'f' ? fired : nested;
        CHECK(write(fd, &one, 8) == 8);
    }
    look("outer", outer);
    look("inner", inner);
}

static void rearm(const char *argument) {
    (void)argument;
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 44};
    OK(epoll_ctl(outer, EPOLL_CTL_MOD, fired, &event));
    OK(epoll_ctl(outer, EPOLL_CTL_DEL, level, NULL));
    look("rearmed", outer);
}

static const struct command commands[] = {
    {"make", make},   {"counts", counts}, {"pipes", pipes},      {"pairs", pairs},
    {"sets", make_sets}, {"signal", signal_sets}, {"rearm", rearm}, {NULL, NULL},
};

int main(int argc, char **argv) {
    CHECK(argc == 2);
    return serve(atoi(argv[1]), commands);
}

// A pipe to a child and one from it, and a socket pair with another one: what goes there comes back.
// output: fixed
#include "guest.h"

#include <ctype.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void serve(int in, int out) {
    char bytes[4096];
    ssize_t length;
    while ((length = read(in, bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < length; i++) bytes[i] = (char)toupper(bytes[i]);
        if (write(out, bytes, (size_t)length) != length) _exit(1);
    }
    _exit(0);
}

static void converse(int in, int out) {
    for (int i = 0; i < 50; i++) {
        char text[64], answer[64] = {0};
        int length = snprintf(text, sizeof text, "line %d of many\n", i);
        CHECK(write(out, text, (size_t)length) == length);
        for (int there = 0; there < length;) there += (int)OK(read(in, answer + there, (size_t)(length - there)));
        if (i % 10 == 0) printf("%s", answer);
    }
}

int main(void) {
    int to[2], from[2], pair[2], status;
    OK(pipe(to));
    OK(pipe(from));
    pid_t child = OK(fork());
    if (child == 0) {
        close(to[1]);
        close(from[0]);
        serve(to[0], from[1]);
    }
    OK(close(to[0]));
    OK(close(from[1]));
    converse(from[0], to[1]);
    OK(close(to[1]));
    char byte;
    CHECK(read(from[0], &byte, 1) == 0);
    CHECK(wait(&status) == child && status == 0);

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    child = OK(fork());
    if (child == 0) {
        close(pair[0]);
        serve(pair[1], pair[1]);
    }
    OK(close(pair[1]));
    converse(pair[0], pair[0]);
    OK(shutdown(pair[0], SHUT_WR));
    CHECK(read(pair[0], &byte, 1) == 0);
    CHECK(wait(&status) == child && status == 0);

    // Nobody reads any more.
    OK(pipe(to));
    child = OK(fork());
    if (child == 0) _exit(0);
    OK(close(to[0]));
    CHECK(wait(&status) == child);
    signal(SIGPIPE, SIG_IGN);
    FAILS(EPIPE, write(to[1], "x", 1));
    return 0;
}

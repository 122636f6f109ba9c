// signal: 13
// SIGPIPE: handled, ignored, MSG_NOSIGNAL, and at last fatal.
#include "guest.h"

#include <sys/socket.h>

static volatile sig_atomic_t pipes;

static void on_pipe(int signal) {
    (void)signal;
    pipes++;
}

int main(void) {
    int ends[2], pair[2];
    OK(pipe(ends));
    OK(close(ends[0]));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    OK(close(pair[0]));
    handle(SIGPIPE, on_pipe, 0);
    FAILS(EPIPE, write(ends[1], "x", 1));
    FAILS(EPIPE, write(pair[1], "x", 1));
    CHECK(pipes == 2);
    FAILS(EPIPE, send(pair[1], "x", 1, MSG_NOSIGNAL));
    CHECK(pipes == 2);
    signal(SIGPIPE, SIG_IGN);
    FAILS(EPIPE, write(ends[1], "x", 1));
    signal(SIGPIPE, SIG_DFL);
    printf("now without a handler\n");
    fflush(stdout);
    CHECK(write(ends[1], "x", 1) == 1);
    return 1;
}

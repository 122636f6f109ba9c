// SIGIO of pipes and socket pairs: what is written, and read, and the end of the other side; blocked it waits and comes once.
// output: fixed
#include "guest.h"

#include <sys/socket.h>

static volatile sig_atomic_t runs;

static void on_io(int signal) {
    CHECK(signal == SIGIO);
    runs++;
}

static int told(void) {
    int was = runs;
    runs = 0;
    return was;
}

static void owned(int fd) {
    OK(fcntl(fd, F_SETOWN, getpid()));
    OK(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
}

int main(void) {
    int ends[2];
    char text[8];
    sigset_t set;
    handle(SIGIO, on_io, SA_RESTART);
    OK(pipe(ends));
    owned(ends[0]);
    CHECK(write(ends[1], "one", 3) == 3);
    printf("%d", told());
    CHECK(read(ends[0], text, 3) == 3);
    printf("%d", told());
    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    CHECK(write(ends[1], "a", 1) == 1 && write(ends[1], "b", 1) == 1);
    CHECK(told() == 0);
    OK(getppid());
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
    printf("%d", told());
    OK(fcntl(ends[0], F_SETFL, 0));
    owned(ends[1]);
    CHECK(read(ends[0], text, 1) == 1);
    printf("%d", told());
    OK(close(ends[0]));
    printf("%d", told());
    OK(close(ends[1]));
    printf("%d", told());

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    owned(ends[0]);
    CHECK(send(ends[1], "one", 3, 0) == 3);
    printf(" %d", told());
    CHECK(read(ends[0], text, 3) == 3);
    printf("%d", told());
    OK(shutdown(ends[1], SHUT_WR));
    printf("%d", told());
    OK(close(ends[1]));
    printf("%d", told());
    OK(close(ends[0]));
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    owned(ends[0]);
    CHECK(send(ends[1], "", 0, 0) == 0);
    printf(" %d", told());
    OK(close(ends[1]));
    printf("%d\n", told());
    return 0;
}

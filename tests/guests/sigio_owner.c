// F_SETOWN before O_ASYNC: the owner is kept, and told of readiness once there is O_ASYNC. Nobody is told without an owner.
// output: fixed
#include "guest.h"

#include <sys/socket.h>

static volatile sig_atomic_t runs;

static void on_io(int signal) {
    CHECK(signal == SIGIO);
    runs++;
}

// A replica that goes live between a write and its signal loses that one.
static int told_within(int fd, int writes) {
    runs = 0;
    while (writes-- > 0 && runs == 0) CHECK(write(fd, "x", 1) == 1);
    return runs > 0;
}

int main(void) {
    int owned[2], unowned[2];
    OK(setpgid(0, 0));
    handle(SIGIO, on_io, SA_RESTART);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, owned));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, unowned));
    OK(fcntl(owned[0], F_SETOWN, getpid()));
    CHECK(fcntl(owned[0], F_GETOWN) == getpid());
    CHECK(!told_within(owned[1], 3));
    OK(fcntl(unowned[0], F_SETFL, O_ASYNC));
    CHECK(fcntl(unowned[0], F_GETOWN) == 0);
    CHECK(!told_within(unowned[1], 3));
    OK(fcntl(owned[0], F_SETFL, O_ASYNC));
    CHECK(fcntl(owned[0], F_GETOWN) == getpid());
    CHECK(told_within(owned[1], 3));
    // A process group.
    OK(fcntl(owned[0], F_SETOWN, -getpgrp()));
    CHECK(fcntl(owned[0], F_GETOWN) == -getpgrp());
    CHECK(told_within(owned[1], 3));
    OK(fcntl(owned[0], F_SETOWN, 0));
    CHECK(fcntl(owned[0], F_GETOWN) == 0);
    CHECK(!told_within(owned[1], 3));
    return 0;
}

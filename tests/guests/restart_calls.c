// With SA_RESTART read, readv, recv, recvfrom, recvmsg and accept go on behind the handler, which makes that there is something
// to get; without it the same calls end with EINTR.
#include "loopback.h"

enum { READ, READV, RECV, RECVFROM, RECVMSG, ACCEPT, WAYS };
static int from[2], listener, restarting;
static struct sockaddr_in address;
static volatile sig_atomic_t ticks, way;

static void on_tick(int signal) {
    (void)signal;
    // Without SA_RESTART a tick before the call must leave nothing that the call could get.
    if (ticks++ > 0 || !restarting) return;
    if (way == ACCEPT) connected_to(&address);
    else CHECK(send(from[0], "tick", 4, 0) == 4);
}

static long called(int which) {
    char text[8] = "";
    struct iovec iov = {text, sizeof text};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    switch (which) {
    case READ: return read(from[1], text, sizeof text);
    case READV: return readv(from[1], &iov, 1);
    case RECV: return recv(from[1], text, sizeof text, 0);
    case RECVFROM: return recvfrom(from[1], text, sizeof text, 0, NULL, NULL);
    case RECVMSG: return recvmsg(from[1], &message, 0);
    default: return accept(listener, NULL, NULL);
    }
}

int main(void) {
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, from));
    listener = listening(0, &address);
    for (int round = 0; round < 2; round++) {
        restarting = round;
        handle(SIGALRM, on_tick, restarting ? SA_RESTART : 0);
        for (int which = 0; which < WAYS; which++) {
            ticks = 0;
            way = which;
            tick_every(2, 2);
            errno = 0;
            long result = called(which);
            int error = errno;
            tick_every(0, 0);
            printf("call %d, restarting %d: %ld, errno %d\n", which, restarting, result, result < 0 ? error : 0);
            CHECK(ticks > 0);
            if (restarting) CHECK(which == ACCEPT ? result > 2 : result == 4);
            else CHECK(result == -1 && error == EINTR);
        }
    }
    return 0;
}

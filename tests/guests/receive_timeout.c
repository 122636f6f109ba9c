// SO_RCVTIMEO and SO_SNDTIMEO: a blocking call gives up with EAGAIN; a signal ends it even under SA_RESTART.
#include "loopback.h"

static volatile sig_atomic_t ticks;

static void on_tick(int signal) {
    (void)signal;
    ticks++;
}

int main(void) {
    int ends[2];
    char text[1024] = "";
    tcp_pair(ends);
    struct timeval brief = {0, 10000};
    OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief));
    OK(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof brief));
    FAILS(EAGAIN, recv(ends[0], text, sizeof text, 0));
    long sent = 0, n;
    while ((n = send(ends[0], text, sizeof text, 0)) > 0) sent += n;
    CHECK(n == -1 && errno == EAGAIN);
    printf("%ld bytes until the timeout\n", sent);
    struct timeval ample = {30, 0};
    OK(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &ample, sizeof ample));
    handle(SIGALRM, on_tick, SA_RESTART);
    tick_every(5, 5);
    FAILS(EINTR, recv(ends[0], text, sizeof text, 0));
    tick_every(0, 0);
    CHECK(ticks >= 1);
    return 0;
}

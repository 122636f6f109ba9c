// A blocking write of more than a pipe holds: a signal ends it with the number of bytes that went in, and with EINTR when none did.
// A restarted one waits until the handler has made room.
#include "guest.h"

static int ends[2];
static volatile sig_atomic_t ticks, emptying;
static long taken;

static void on_tick(int signal) {
    (void)signal;
    static char sink[65536];
    if (ticks++ > 200) _exit(CHECK_FAILED);
    if (!emptying) return;
    emptying = 0;
    taken += OK(read(ends[0], sink, sizeof sink));
}

int main(void) {
    static char text[200000];
    memset(text, 'p', sizeof text);
    OK(pipe(ends));
    OK(fcntl(ends[1], F_SETPIPE_SZ, 65536));
    handle(SIGALRM, on_tick, 0);
    // Half of the pipe is full before, so that a tick before the call does no harm.
    CHECK(write(ends[1], text, 32768) == 32768);
    tick_every(3, 3);
    ssize_t written = write(ends[1], text, sizeof text);
    printf("%zd bytes, then a signal\n", written);
    CHECK(written == 32768);
    FAILS(EINTR, write(ends[1], text, 4096));
    tick_every(0, 0);
    handle(SIGALRM, on_tick, SA_RESTART);
    ticks = 0;
    emptying = 1;
    tick_every(3, 3);
    // Nothing went in: it starts anew once there is room.
    written = write(ends[1], text, 4096);
    tick_every(0, 0);
    printf("%zd bytes, %ld taken\n", written, taken);
    CHECK(written == 4096 && taken >= 4096);
    return 0;
}

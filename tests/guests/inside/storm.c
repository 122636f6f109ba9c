// Signals at every moment of calls made in process: none is lost, none is too many, no byte is wrong.
// output: fixed
// fast: 100
#include "site.h"

static int ends[2], other[2];
static volatile sig_atomic_t ticks;

static void works(int signal) {
    (void)signal;
    char byte = 'h';
    CHECK(CALL(write, other[1], &byte, 1) == 1);
    CHECK(numbered_read(other[0], (long)&byte, 1) == 1 && byte == 'h');
    ticks++;
}

static void every(long microseconds) {
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    OK(setitimer(ITIMER_REAL, &timer, NULL));
}

int main(void) {
    OK(pipe(ends));
    OK(pipe(other));
    warm_up();
    for (int restart = 0; restart < 2; restart++) {
        handle(SIGALRM, works, restart ? SA_RESTART : 0);
        for (int blocked = 0; blocked < 2; blocked++) {
            ticks = 0;
            unsigned char next = 0;
            every(500);
            for (int i = 0; i < 100 || ticks < 10; i++) {
                sigset_t set, before;
                sigemptyset(&set);
                sigaddset(&set, SIGALRM);
                int seen = ticks;
                if (blocked) OK(sigprocmask(SIG_BLOCK, &set, &before));
                if (blocked) seen = ticks;
                unsigned char out[3] = {next, (unsigned char)(next + 1), (unsigned char)(next + 2)}, in[3];
                CHECK(CALL(write, ends[1], out, 3) == 3);
                CHECK(CALL(read, ends[0], in, 3) == 3);
                CHECK(!memcmp(out, in, 3));
                struct iovec parts[2] = {{out, 1}, {out + 1, 2}};
                CHECK(CALL(writev, ends[1], parts, 2) == 3);
                CHECK(read(ends[0], in, 3) == 3);
                CHECK(!memcmp(out, in, 3));
                if (blocked) CHECK(ticks == seen);
                if (blocked) OK(sigprocmask(SIG_SETMASK, &before, NULL));
                next += 3;
            }
            every(0);
            printf("restart %d blocked %d\n", restart, blocked);
        }
    }
    return 0;
}

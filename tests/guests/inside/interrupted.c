// Handlers that run while a call made in process is blocked, and make such calls themselves: with SA_RESTART and without, on a stack
// of their own, left by longjmp(3).
// output: fixed
// fast: 10
#include "site.h"

#include <poll.h>
#include <setjmp.h>
#include <sys/epoll.h>

static int ends[2], other[2];
static volatile sig_atomic_t ticks, enough;
static sigjmp_buf place;

static void works(int signal) {
    (void)signal;
    char byte = 'h';
    // Through the very site that is blocked.
    CHECK(CALL(write, other[1], &byte, 1) == 1);
    CHECK(CALL(read, other[0], &byte, 1) == 1 && byte == 'h');
    CHECK(numbered_getppid(0, 0, 0) == getppid());
    struct timespec now;
    CHECK(CALL(clock_gettime, CLOCK_REALTIME, &now) == 0);
    ticks++;
    // Not at the very count: a tick may come before `enough` is set.
    if (enough && ticks >= enough) {
        enough = 0;
        CHECK(CALL(write, ends[1], "x", 1) == 1);
    }
}

static void leaves(int signal) {
    works(signal);
    if (ticks % 2) siglongjmp(place, 1);
}

int main(void) {
    OK(pipe(ends));
    OK(pipe(other));
    warm_up();
    char byte = 0;
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    OK(sigaltstack(&alternate, NULL));

    for (int on_stack = 0; on_stack < 2; on_stack++) {
        int flags = on_stack ? SA_ONSTACK : 0;
        handle(SIGALRM, works, flags);
        tick_every(5, 5);
        for (int i = 0; i < 5; i++) {
            CHECK(CALL(read, ends[0], &byte, 1) == -EINTR);
            CHECK(numbered_read(ends[0], (long)&byte, 1) == -EINTR);
        }
        CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR);
        struct pollfd ready = {ends[0], POLLIN, 0x55};
        CHECK(CALL(poll, &ready, 1, -1) == -EINTR);
        struct timespec long_time = {100, 0};
        CHECK(CALL(nanosleep, &long_time, 0) == -EINTR);
        int set = OK(epoll_create1(0));
        struct epoll_event event = {.events = EPOLLIN};
        OK(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
        CHECK(CALL(epoll_wait, set, &event, 1, -1) == -EINTR);
        OK(close(set));
        printf("interrupted\n");

        // poll, nanosleep and epoll_wait are not restarted, whatever the handler asks for.
        handle(SIGALRM, works, SA_RESTART | flags);
        CHECK(CALL(poll, &ready, 1, -1) == -EINTR);
        for (int i = 0; i < 3; i++) {
            ticks = 0, enough = 3;
            CHECK(CALL(read, ends[0], &byte, 1) == 1 && byte == 'x');
            CHECK(ticks >= 3);
            ticks = 0, enough = 2;
            CHECK(numbered_read(ends[0], (long)&byte, 1) == 1 && byte == 'x');
            CHECK(ticks >= 2);
            ticks = 0, enough = 2;
            CHECK(read(ends[0], &byte, 1) == 1);
        }
        printf("restarted\n");

        volatile int left = 0, interrupted = 0;
        // Before the handler is there: a tick inside sigsetjmp(3) would jump to a place that is half made.
        if (sigsetjmp(place, 1) == 0) {
            handle(SIGALRM, leaves, flags);
        } else {
            left++;
        }
        // How many ticks meet a blocked call is not known: one may come between two calls.
        while (left < 5 || interrupted < 3) {
            long result = left % 2 ? CALL(read, ends[0], &byte, 1) : numbered_read(ends[0], (long)&byte, 1);
            CHECK(result == -EINTR);
            interrupted++;
        }
        tick_every(0, 0);
        printf("left\n");
        CHECK(CALL(write, ends[1], "y", 1) == 1);
        CHECK(CALL(read, ends[0], &byte, 1) == 1 && byte == 'y');
    }
    return 0;
}

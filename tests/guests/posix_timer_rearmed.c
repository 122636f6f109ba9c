// A POSIX timer expires while the program computes, which then blocks its signal and sets the timer anew: no signal comes from before.
// output: fixed
#include "guest.h"

static volatile sig_atomic_t count;

static void on_signal(int signal) {
    (void)signal;
    count++;
}

static void set(timer_t timer, long seconds, long nanoseconds) {
    struct itimerspec spec = {.it_value = {seconds, nanoseconds}};
    OK(timer_settime(timer, 0, &spec, NULL));
}

static void block(int how, int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    OK(sigprocmask(how, &set, NULL));
}

// Some milliseconds without a call.
static void compute(void) {
    for (volatile int i = 0; i < 3000000; i++) {}
}

static void round_of(timer_t timer, int signal, int deletes) {
    set(timer, 0, 100000);
    compute();
    block(SIG_BLOCK, signal);
    if (deletes)
        OK(timer_delete(timer));
    else
        set(timer, 500, 0);
    int before = count;
    block(SIG_UNBLOCK, signal);
    CHECK(count == before);
}

int main(void) {
    static const int signals[] = {SIGUSR1, 40};
    static const int notices[] = {SIGEV_SIGNAL, SIGEV_THREAD_ID};
    for (int i = 0; i < 4; i++) {
        timer_t timer;
        int signal = signals[i % 2];
        struct sigevent event = {.sigev_notify = notices[i / 2], .sigev_signo = signal};
        if (i / 2) event._sigev_un._tid = gettid();
        handle(signal, on_signal, 0);
        OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
        for (int times = 0; times < 5; times++) round_of(timer, signal, 0);
        // What others have sent waits on.
        block(SIG_BLOCK, signal);
        OK(kill(getpid(), signal));
        OK(syscall(SYS_tgkill, getpid(), gettid(), signal));
        block(SIG_UNBLOCK, signal);
        round_of(timer, signal, 1);
    }
    printf("done\n");
    return 0;
}

// thread: prints a line, starts a second thread, and would print another one.
#include <pthread.h>
#include <stdio.h>

static void *other(void *nothing) { return nothing; }

int main(void) {
    pthread_t thread;
    puts("one thread");
    fflush(stdout);
    if (pthread_create(&thread, NULL, other, NULL)) return 5;
    pthread_join(thread, NULL);
    puts("two threads");
    return 0;
}

// Starts a second thread, which ftrun does not replicate.
// cflags: -pthread
// exit: 122
#include "guest.h"

#include <pthread.h>

static void *idle(void *unused) {
    pause();
    return unused;
}

int main(void) {
    pthread_t thread;
    dprintf(1, "one thread\n");
    CHECK(pthread_create(&thread, NULL, idle, NULL) == 0);
    dprintf(1, "two threads\n");
    return 0;
}

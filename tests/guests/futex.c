// futex(2) of a single thread: nobody to wake, a value that has changed, a timeout, an uncontended mutex.
#include "guest.h"

#include <linux/futex.h>
#include <pthread.h>

static uint32_t word = 5;

int main(void) {
    struct timespec brief = {0, 5000000};
    CHECK(syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0) == 0);
    FAILS(EAGAIN, syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 4, NULL, NULL, 0));
    FAILS(ETIMEDOUT, syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 5, &brief, NULL, 0));
    struct timespec until;
    OK(clock_gettime(CLOCK_MONOTONIC, &until));
    FAILS(ETIMEDOUT, syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 5, &until, NULL, ~0u));
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    CHECK(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_trylock(&mutex) == EBUSY);
    OK(clock_gettime(CLOCK_REALTIME, &until));
    int error = pthread_cond_timedwait(&condition, &mutex, &until);
    CHECK(error == ETIMEDOUT);
    CHECK(pthread_mutex_unlock(&mutex) == 0);
    printf("word %u, condition: %s\n", word, strerror(error));
    return 0;
}

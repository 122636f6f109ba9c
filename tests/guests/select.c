// select(2): the three sets, what is left of the timeout.
#include "guest.h"

#include <sys/select.h>

int main(void) {
    int ends[2];
    OK(pipe(ends));
    fd_set in, out, except;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_ZERO(&except);
    FD_SET(ends[0], &in);
    FD_SET(ends[1], &out);
    FD_SET(ends[0], &except);
    struct timeval limit = {5, 500};
    CHECK(select(ends[1] + 1, &in, &out, &except, &limit) == 1);
    CHECK(!FD_ISSET(ends[0], &in) && FD_ISSET(ends[1], &out) && !FD_ISSET(ends[0], &except));
    printf("ready at once, %ld.%06ld left\n", limit.tv_sec, limit.tv_usec);
    FD_SET(ends[0], &in);
    limit = (struct timeval){0, 12000};
    CHECK(select(ends[1] + 1, &in, NULL, NULL, &limit) == 0);
    printf("timeout, %ld.%06ld left\n", limit.tv_sec, limit.tv_usec);
    CHECK(limit.tv_sec == 0 && limit.tv_usec == 0 && !FD_ISSET(ends[0], &in));
    CHECK(write(ends[1], "x", 1) == 1);
    FD_SET(ends[0], &in);
    CHECK(select(ends[0] + 1, &in, NULL, NULL, NULL) == 1 && FD_ISSET(ends[0], &in));
    OK(close(ends[0]));
    FAILS(EBADF, select(ends[0] + 1, &in, NULL, NULL, &limit));
    FAILS(EINVAL, select(-1, NULL, NULL, NULL, &limit));
    return 0;
}

// flock(2): locks belong to open file descriptions, so one process can stand in its own way.
#include "guest.h"

#include <sys/file.h>

int main(void) {
    int a = file_with("lock", "");
    int b = OK(open("lock", O_RDWR));
    OK(flock(a, LOCK_EX));
    FAILS(EAGAIN, flock(b, LOCK_EX | LOCK_NB));
    FAILS(EAGAIN, flock(b, LOCK_SH | LOCK_NB));
    OK(flock(a, LOCK_SH));
    OK(flock(b, LOCK_SH | LOCK_NB));
    OK(flock(b, LOCK_UN));
    int copy = OK(dup(a));
    OK(flock(copy, LOCK_EX | LOCK_NB));
    OK(close(a));
    FAILS(EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
    OK(close(copy));
    OK(flock(b, LOCK_EX | LOCK_NB));
    FAILS(EINVAL, flock(b, 0));
    FAILS(EBADF, flock(99, LOCK_EX));
    return 0;
}

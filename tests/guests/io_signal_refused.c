// fcntl(2) operations that are not replicated: F_SETSIG, F_SETOWN_EX, leases, notifications, seals, pipes of pages: EINVAL, by name.
// refused: fcntl(F_SETSIG)
#include "guest.h"

int main(void) {
    int fd = file_with("file", "text");
    FAILS(EINVAL, fcntl(fd, F_SETSIG, SIGRTMIN));
    FAILS(EINVAL, fcntl(fd, F_SETLEASE, F_RDLCK));
    FAILS(EINVAL, fcntl(fd, F_NOTIFY, DN_MODIFY));
    FAILS(EINVAL, fcntl(fd, F_GET_SEALS));
    CHECK(fcntl(fd, F_GETFL) == O_RDWR || fcntl(fd, F_GETFL) == (O_RDWR | O_LARGEFILE | 0100000));
    return 0;
}

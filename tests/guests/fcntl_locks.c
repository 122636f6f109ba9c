// fcntl(2): F_SETLK, F_SETLKW, F_GETLK; a process never conflicts with itself, and closing any descriptor unlocks.
#include "guest.h"

int main(void) {
    int fd = file_with("data", "0123456789"), other = OK(open("data", O_RDONLY));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 4};
    OK(fcntl(fd, F_SETLK, &lock));
    lock.l_type = F_RDLCK;
    OK(fcntl(fd, F_SETLKW, &lock));
    struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 0, .l_pid = 12345};
    OK(fcntl(fd, F_GETLK, &asked));
    printf("conflict: type %d whence %d start %ld len %ld pid %d\n", asked.l_type, asked.l_whence,
           (long)asked.l_start, (long)asked.l_len, asked.l_pid);
    CHECK(asked.l_type == F_UNLCK);
    lock.l_type = F_WRLCK;
    FAILS(EBADF, fcntl(other, F_SETLK, &lock));
    lock.l_type = F_UNLCK;
    OK(fcntl(fd, F_SETLK, &lock));
    lock.l_type = 99;
    FAILS(EINVAL, fcntl(fd, F_SETLK, &lock));
    FAILS(EFAULT, syscall(SYS_fcntl, fd, F_SETLK, 8));
    return 0;
}

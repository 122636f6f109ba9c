// Calls and operations that are not replicated: refused by name, with the errno of a kernel that does not have them.
// refused: io_uring_setup (system call 425)
// output: fixed
#include "guest.h"

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

int main(void) {
    char parameters[256] = "";
    FAILS(ENOSYS, syscall(SYS_io_uring_setup, 8, parameters));
    FAILS(ENOSYS, syscall(SYS_userfaultfd, 0));
    FAILS(ENOSYS, syscall(SYS_memfd_create, "name", 0));
    FAILS(ENOSYS, syscall(SYS_ptrace, 0, 0, 0, 0));
    FAILS(ENOSYS, syscall(9999));
    FAILS(ENOTTY, ioctl(0, 0xdead, parameters));
    FAILS(EINVAL, prctl(0x1234567, 0, 0, 0, 0));
    FAILS(EINVAL, fcntl(0, 9999, 0));
    FAILS(EINVAL, prctl(PR_SET_MM, 0, 0, 0, 0));
    FAILS(EINVAL, fcntl(0, 1024 /* F_SETLEASE */, 0));
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(s >= 0);
    int value = 0;
    socklen_t length = sizeof value;
    FAILS(ENOPROTOOPT, setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &value, length));
    FAILS(ENOPROTOOPT, setsockopt(s, SOL_SOCKET, 12345, &value, length));
    FAILS(ENOPROTOOPT, getsockopt(s, SOL_SOCKET, 77 /* SO_PEERPIDFD */, &value, &length));
    FAILS(ENOPROTOOPT, getsockopt(s, 9999, SO_KEEPALIVE, &value, &length));
    OK(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &value, length));
    OK(close(s));
    FAILS(EAFNOSUPPORT, socket(AF_PACKET, SOCK_RAW, 0));
    FAILS(EINVAL, madvise(parameters, 4096, MADV_FREE));
    return 0;
}

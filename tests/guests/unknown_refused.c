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
    FAILS(EAFNOSUPPORT, socket(AF_PACKET, SOCK_RAW, 0));
    FAILS(EINVAL, madvise(parameters, 4096, MADV_FREE));
    return 0;
}

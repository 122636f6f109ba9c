// Extended attributes: ENOSYS from every call, which programs take for a file system without them.
// refused: setxattr (system call 188)
#include "guest.h"

#include <sys/xattr.h>

int main(void) {
    char value[16];
    int fd = file_with("file", "");
    FAILS(ENOSYS, setxattr("file", "user.name", "value", 5, 0));
    FAILS(ENOSYS, lsetxattr("file", "user.name", "value", 5, 0));
    FAILS(ENOSYS, fsetxattr(fd, "user.name", "value", 5, 0));
    FAILS(ENOSYS, getxattr("file", "user.name", value, sizeof value));
    FAILS(ENOSYS, lgetxattr("file", "user.name", value, sizeof value));
    FAILS(ENOSYS, fgetxattr(fd, "user.name", value, sizeof value));
    FAILS(ENOSYS, listxattr("file", value, sizeof value));
    FAILS(ENOSYS, flistxattr(fd, value, sizeof value));
    FAILS(ENOSYS, removexattr("file", "user.name"));
    FAILS(ENOSYS, fremovexattr(fd, "user.name"));
    return 0;
}

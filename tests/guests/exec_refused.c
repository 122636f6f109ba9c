// A program that would give the server other rights is not executed: the call fails, and the server goes on.
// refused: execve of set-user, which is set-uid or set-gid
// output: fixed
#include "guest.h"

static void copy_of(const char *from, const char *to, mode_t mode, int at, char byte) {
    static char bytes[1 << 22];
    int fd = OK(open(from, O_RDONLY));
    ssize_t length = OK(read(fd, bytes, sizeof bytes));
    OK(close(fd));
    fd = OK(open(to, O_WRONLY | O_CREAT, 0700));
    if (at) bytes[at] = byte;
    CHECK(write(fd, bytes, (size_t)length) == length);
    OK(fchmod(fd, mode));
    OK(close(fd));
}

int main(void) {
    char *arguments[] = {"true", NULL}, *environment[] = {NULL};
    copy_of("/bin/true", "set-user", 04755, 0, 0);
    copy_of("/bin/true", "set-group", 02755, 0, 0);
    // 32 bits.
    copy_of("/bin/true", "narrow", 0755, 4, 1);
    FAILS(EPERM, execve("set-user", arguments, environment));
    FAILS(EPERM, execve("./set-group", arguments, environment));
    FAILS(ENOEXEC, execve("narrow", arguments, environment));
    int script = file_with("script", "#!./set-user\n");
    OK(fchmod(script, 0755));
    OK(close(script));
    FAILS(EPERM, execve("script", arguments, environment));
    return 0;
}

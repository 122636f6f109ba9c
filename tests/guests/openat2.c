// openat2(2): resolution that stays beneath a directory, crosses no link, and flags that it refuses.
// output: fixed
#include "guest.h"

#include <linux/openat2.h>

static int opened(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

int main(void) {
    OK(mkdir("inside", 0700));
    OK(symlink("../outside", "inside/link"));
    OK(symlink("file", "inside/short"));
    OK(close(file_with("outside", "outside")));
    int directory = OK(open("inside", O_RDONLY | O_DIRECTORY)), fd;
    fd = OK(opened(directory, "file", O_RDWR | O_CREAT, 0640, RESOLVE_BENEATH));
    CHECK(write(fd, "within", 6) == 6);
    OK(close(fd));
    FAILS(EXDEV, opened(directory, "../outside", O_RDONLY, 0, RESOLVE_BENEATH));
    FAILS(EXDEV, opened(directory, "link", O_RDONLY, 0, RESOLVE_BENEATH));
    FAILS(EXDEV, opened(directory, "/etc/passwd", O_RDONLY, 0, RESOLVE_BENEATH));
    FAILS(ELOOP, opened(directory, "short", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    FAILS(ENOENT, opened(directory, "/outside", O_RDONLY, 0, RESOLVE_IN_ROOT));
    OK(close(OK(opened(directory, "/../file", O_RDONLY, 0, RESOLVE_IN_ROOT))));
    OK(close(OK(opened(directory, "short", O_RDONLY, 0, RESOLVE_BENEATH))));
    OK(close(OK(opened(directory, "link", O_RDONLY | O_CLOEXEC, 0, 0))));
    FAILS(EINVAL, opened(directory, "file", O_RDONLY, 0644, 0));
    FAILS(EINVAL, opened(directory, "file", 1ull << 40, 0, 0));
    FAILS(EINVAL, opened(directory, "file", O_RDONLY, 0, 1 << 20));
    struct open_how how = {0};
    FAILS(EINVAL, syscall(SYS_openat2, directory, "file", &how, 8));
    char large[64] = "";
    OK(close((int)OK(syscall(SYS_openat2, directory, "file", large, sizeof large))));
    large[60] = 1;
    FAILS(E2BIG, syscall(SYS_openat2, directory, "file", large, sizeof large));
    return 0;
}

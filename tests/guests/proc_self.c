// /proc/self: the program's name, its memory map, its descriptors and its status.
#include "guest.h"

static void show(const char *path) {
    char text[8192];
    int fd = OK(open(path, O_RDONLY));
    ssize_t n;
    printf("--- %s\n", path);
    while ((n = OK(read(fd, text, sizeof text))) > 0) CHECK(fwrite(text, 1, (size_t)n, stdout) == (size_t)n);
    OK(close(fd));
}

int main(void) {
    char link[4096];
    show("/proc/self/maps");
    show("/proc/self/stat");
    show("/proc/self/status");
    show("/proc/self/limits");
    ssize_t n = OK(readlink("/proc/self/exe", link, sizeof link - 1));
    link[n] = 0;
    printf("\nexe %s\n", link);
    int fd = file_with("here", "");
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    n = OK(readlink(path, link, sizeof link - 1));
    CHECK(n > 5 && memcmp(link + n - 5, "/here", 5) == 0);
    show("/proc/uptime");
    return 0;
}

// getdents64(2), raw and through readdir(3): order, inode numbers and cookies are the file system's own.
#include "guest.h"

#include <dirent.h>

int main(void) {
    char name[16];
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "entry-%02d", i);
        OK(close(OK(creat(name, 0644))));
    }
    int fd = OK(open(".", O_RDONLY | O_DIRECTORY));
    char buffer[1024];
    long got, entries = 0;
    while ((got = OK(syscall(SYS_getdents64, fd, buffer, sizeof buffer))) > 0) {
        for (long at = 0; at < got; entries++) {
            struct dirent64 *entry = (struct dirent64 *)(buffer + at);
            printf("%lu %ld %d %s\n", entry->d_ino, entry->d_off, entry->d_type, entry->d_name);
            at += entry->d_reclen;
        }
    }
    CHECK(entries >= 42);
    OK(lseek(fd, 0, SEEK_SET));
    FAILS(EINVAL, syscall(SYS_getdents64, fd, buffer, 1));
    OK(close(fd));
    DIR *dir = opendir(".");
    CHECK(dir);
    while (readdir(dir)) entries--;
    CHECK(closedir(dir) == 0 && entries == 0);
    return 0;
}

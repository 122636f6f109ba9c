// telldir(3), seekdir(3), rewinddir(3): back to where one was, while entries come and go; a directory removed under its reader.
#include "guest.h"

#include <dirent.h>

int main(void) {
    char name[32], names[64][32];
    long positions[64];
    OK(mkdir("many", 0700));
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "many/entry-%d", i);
        OK(close(OK(open(name, O_WRONLY | O_CREAT | O_EXCL, 0600))));
    }
    DIR *directory = opendir("many");
    CHECK(directory);
    int count = 0;
    for (struct dirent *entry;; count++) {
        positions[count] = telldir(directory);
        entry = readdir(directory);
        if (!entry) break;
        CHECK(count < 63);
        strcpy(names[count], entry->d_name);
        printf("%s type %d at %ld\n", entry->d_name, entry->d_type, positions[count]);
    }
    CHECK(count == 42);
    for (int i = count - 1; i >= 0; i -= 5) {
        seekdir(directory, positions[i]);
        struct dirent *entry = readdir(directory);
        CHECK(entry && strcmp(entry->d_name, names[i]) == 0);
    }
    OK(unlink("many/entry-7"));
    rewinddir(directory);
    int left = 0;
    while (readdir(directory)) left++;
    CHECK(left == 41);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "many/entry-%d", i);
        if (i != 7) OK(unlink(name));
    }
    FAILS(ENOENT, unlinkat(dirfd(directory), "entry-0", 0));
    OK(rmdir("many"));
    rewinddir(directory);
    errno = 0;
    struct dirent *entry = readdir(directory);
    printf("removed: %s, errno %d\n", entry ? entry->d_name : "nothing", errno);
    FAILS(ENOENT, openat(dirfd(directory), "new", O_CREAT | O_WRONLY, 0600));
    OK(closedir(directory));
    return 0;
}
